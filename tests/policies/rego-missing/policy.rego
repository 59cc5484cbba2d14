package missing

main := {"response": {"uid": "", "allowed": count(net.lookup_ip_addr("localhost")) > 0}} if {
	http.send({"method": "get", "url": "http://localhost/"}).status_code == 200
}
