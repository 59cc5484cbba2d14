# Written by tests/tools/rego_dispatcher.ts: calls the builtins that a request asks for.
package builtins

answers := [[index, type_name(value), value] |
	call := input.request.calls[index]
	value := answer(call.name, call.operands)
]

main := {"response": {"uid": "", "allowed": true, "warnings": [json.marshal(answers)]}}

answer("cast_array", operands) := value {
	value := cast_array(operands[0])
}

answer("cast_array#set", operands) := value {
	first := {element | element := operands[0][_]}
	value := cast_array(first)
}

answer("cast_boolean", operands) := value {
	value := cast_boolean(operands[0])
}

answer("cast_null", operands) := value {
	value := cast_null(operands[0])
}

answer("cast_object", operands) := value {
	value := cast_object(operands[0])
}

answer("cast_set", operands) := value {
	value := cast_set(operands[0])
}

answer("cast_string", operands) := value {
	value := cast_string(operands[0])
}
