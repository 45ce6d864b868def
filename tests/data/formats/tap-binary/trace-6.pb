
Â
‹
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
x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000
before
ğŸµğŸ™ˆğŸ™‰
behind"µ²Ø°ÔËÈ±

:status200

content-type
text/plain

content-length2
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy
ok"µ²Ø µåÈ