x”ï»Ü»«Õ™;l


:authorityshop.example

:path/chunked

:methodPOST

:schemehttp

x-forwarded-protohttp”ï»Ü»«Õ™;

foursix-ty…”ï»Ü»«Õ™;*y

:status200

transfer-encodingchunked

trailerx-sum


connectionclose
"
x-envoy-upstream-service-time0”ï»Ü»«Õ™;2
firstsecond”ï»Ü»«Õ™;:

x-sum42