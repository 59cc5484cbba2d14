# Answers with what the request's `answer` says, as it is, or does what its `do` tells.
package answers

main := {"response": input.request.answer} if input.request.answer

main := {"something": "else"} if input.request.do == "no-response"

main := "text" if input.request.do == "text"

main := {"response": {"uid": "", "allowed": true, "warnings": [text]}} if {
	input.request.do == "settings"
	text := json.marshal([data.number, data.text])
}

main := {"response": {"uid": "", "allowed": true, "warnings": [text]}} if {
	input.request.do == "echo"
	text := json.marshal(input.request.value)
}

main := {"response": {"uid": "", "allowed": sum(products) > 0}} if {
	input.request.do == "loop"
	products := [product |
		some i in numbers.range(1, 100000)
		some j in numbers.range(1, 100000)
		product := i * j
	]
}

main := {"response": {"uid": "", "allowed": count(addresses) > 0}} if {
	input.request.do == "busy-builtin"
	addresses := {address |
		some block in numbers.range(0, 255)
		some address in net.cidr_expand(sprintf("10.%d.0.0/16", [block]))
	}
}

main := {"response": {"uid": "", "allowed": true, "warnings": [sprintf("%s", [x])]}} if {
	input.request.do == "builtin-error"
	x := "defined"
	not time.parse_rfc3339_ns("no time")
}

main := {"response": {"uid": "", "allowed": count(net.cidr_expand("10.0.0.0/8")) > 0}} if {
	input.request.do == "too-much"
}

main := {"response": {"uid": "", "allowed": same}} if {
	input.request.do == "same-within-one-evaluation"
	same := [time.now_ns(), uuid.rfc4122("a"), rand.intn("a", 1000000)] == [time.now_ns(), uuid.rfc4122("a"), rand.intn("a", 1000000)]
}

main := {"response": {"uid": "", "allowed": true, "warnings": [uuid.rfc4122("a")]}} if input.request.do == "random"

main := {"response": {"uid": "", "allowed": true, "warnings": [sprintf("%d", [count(text)])]}} if {
	input.request.do == "memory"
	text := concat("", [sprintf("%01000d", [i]) | some i in numbers.range(1, input.request.times)])
}

main := {"response": {"uid": "", "allowed": true}} if {
	input.request.do == "conflict"
	clash == 1
}

clash := x if some x in input.request.values
