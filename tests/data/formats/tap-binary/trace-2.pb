
Ö
Ê


:authorityshop.example

:path	/repeated

:methodGET

:schemehttp

x-mixed-caseKept

x-tagone

x-tagtwo

x-latincaf!

x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000"µê≤ÿêÍÈ∆ô

:status204

x-tagthree

x-tagfour
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy"µê≤ÿ¿åÉ«