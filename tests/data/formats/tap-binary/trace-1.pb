
æ
≤


:authorityshop.example

:path/login

:methodPOST

:schemehttp

x-mixed-caseKept
 
content-typeapplication/json

authorizationBearer fake

content-length33

x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000#
!{"user": "a", "password": "fake"}"µê≤ÿ†⁄µ∆Ü

:status200
 
content-typeapplication/json


set-cookiea=fake


set-cookieb=fake

content-length36
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy&
${"access_token": "fake", "ok": true}"µê≤ÿ∏˛–∆