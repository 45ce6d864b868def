
ß
±


:authorityshop.example

:path/chunked

:methodPOST

:schemehttp

x-forwarded-protohttp
'
x-envoy-expected-rq-timeout-ms15000

foursix-ty"µ²Ø¾ËÇ¨

:status200

trailerx-sum
"
x-envoy-upstream-service-time0
%
dateSun, 29 Nov 2026 20:16:53 GMT

serverenvoy
firstsecond
x-sum42"µ²ØøôåÇ