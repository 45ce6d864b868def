
ı
∏
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
x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000"µê≤ÿ»ø˘»∑

:status404

content-type
text/plain

content-length8
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy

not here"µê≤ÿ‡˚å…