ÊÈÇ¬–ñ”z


:authorityshop.example

:path/missing

:methodGET

:schemehttp

x-mixed-caseKept

x-forwarded-protohttp†ÊÈÇ¬–ñ”z*z

:status404

content-type
text/plain

content-length8


connectionclose
"
x-envoy-upstream-service-time0ÊÈÇ¬–ñ”z2

not here