ŸíÔŸµª…ÿ|’
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
x-forwarded-protohttpíÔŸµª…ÿ|*

:status200
 
content-typeapplication/json

content-length14


connectionclose
"
x-envoy-upstream-service-time0íÔŸµª…ÿ|2
{"orders": []}