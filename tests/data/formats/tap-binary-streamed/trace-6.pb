Ä¥¨»éŒÌÍ•„¶


:authorityshop.example

:path
/separator

:methodPOST

:schemehttp

x-mixed-caseKept

content-type
text/plain

content-length26

x-forwarded-protohttp)¥¨»éŒÌÍ•„
before
ğŸµğŸ™ˆğŸ™‰
behind‡¥¨»éŒÌÍ•„*z

:status200

content-type
text/plain

content-length2


connectionclose
"
x-envoy-upstream-service-time0¥¨»éŒÌÍ•„2
ok