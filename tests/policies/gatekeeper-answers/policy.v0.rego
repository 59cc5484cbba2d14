# Answers what the annotation `do` tells, in the dialect of Gatekeeper's templates.
package answers

told = x {
	x := input.review.object.metadata.annotations.do
}

violation[{"msg": msg, "details": {"a": 1}}] {
	told == "one"
	msg := "no"
}

violation[{"msg": msg}] {
	told == "two"
	msg := ["b", "a"][_]
}

violation[{"details": {}}] {
	told == "no-msg"
}

violation[{"msg": 5}] {
	told == "number-msg"
}

violation[{"msg": null}] {
	told == "null-msg"
}

violation["text"] {
	told == "text"
}

violation[{"msg": msg}] {
	told == "parameters"
	msg := json.marshal(input.parameters)
}

violation[{"msg": msg}] {
	told == "data"
	msg := json.marshal(data.inventory)
}

violation[{"msg": msg}] {
	told == "undefined"
	msg := regex.replace("a", "(", "b")
}
