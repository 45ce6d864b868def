ãÿ“ÞÛ™È¡¡nÖ
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
x-forwarded-protohttp/ÿ“ÞÛ™È¡¡n#
!{"user": "a", "password": "fake"}ºÿ“ÞÛ™È¡¡n*­

:status200
 
content-typeapplication/json


set-cookiea=fake


set-cookieb=fake

content-length36


connectionclose
"
x-envoy-upstream-service-time02ÿ“ÞÛ™È¡¡n2&
${"access_token": "fake", "ok": true}