½„ÒÐ‘¶þ×œ²¯
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
x-forwarded-protohttpu„ÒÐ‘¶þ×œ²*h

:status204

x-tagthree

x-tagfour


connectionclose
"
x-envoy-upstream-service-time0