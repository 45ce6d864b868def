
ì
…


:authorityshop.example
"
:path/orders?page=2&token=fake

:methodGET

:schemehttp

x-mixed-caseKept

x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000"µê≤ÿêæ—≈ƒ

:status200
 
content-typeapplication/json

content-length14
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy
{"orders": []}"µê≤ÿà›ç∆