package missing

main := {"response": {"uid": "", "allowed": is_object(rego.parse_module("a.rego", "package a"))}} if {
	http.send({"method": "get", "url": "http://localhost/"}).status_code == 200
}
