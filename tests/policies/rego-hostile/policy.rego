# Keeps a builtin busy for ever, with operands as large as it can make them: the annotation `do` says which one.
package hostile

do := input.request.object.metadata.annotations["do"]

main := {"response": {"uid": "", "allowed": true}} if not attacked

main := {"response": {"uid": "", "allowed": true}} if attacked

# `text`, a thousand and a million times.
thousand(text) := replace("....................................................................................................", ".", replace("..........", ".", text))

million(text) := thousand(thousand(text))

again := numbers.range(1, 100000)

attacked if {
	do == "hex.decode"
	some i in again
	not hex.decode(sprintf("%s%d", [million("00000"), i])) == "x"
	i < 0
}

attacked if {
	do == "json.patch"
	document := {"a": numbers.range(1, 50000)}
	operations := [{"op": "add", "path": "/a/0", "value": i} | some i in numbers.range(1, 20000)]
	some i in again
	count(json.patch(document, operations)) < i - i
}

attacked if {
	do == "urlquery.decode_object"
	some i in again
	count(urlquery.decode_object(sprintf("%s%d", [million("a=1&b&"), i]))) < 0
}

attacked if {
	do == "yaml.unmarshal"
	some i in again
	count(yaml.unmarshal(sprintf("%s- %d\n", [thousand(thousand("- a\n")), i]))) < 0
}

attacked if {
	do == "regex.replace"
	some i in again
	count(regex.replace(sprintf("%s%d", [million("aaaaaaaaaa"), i]), "(a|aa|aaa)*b", "x")) < 0
}

attacked if {
	do == "sprintf"
	some i in again
	count(sprintf("%01000000d%d", [i, i])) < 0
}

attacked if {
	do == "net.cidr_expand"
	some i in again
	count(net.cidr_expand(sprintf("10.%d.0.0/16", [i % 256]))) < 0
}

attacked if {
	do == "graph.reachable_paths"
	edges := {i: [j | some j in numbers.range(1, 40)] | some i in numbers.range(1, 40)}
	count(graph.reachable_paths(edges, [1])) < 0
}

attacked if {
	do == "json.match_schema"
	schema := {
		"definitions": {"a": {"anyOf": [{"$ref": "#/definitions/b"}, {"$ref": "#/definitions/b"}]}, "b": {"items": {"$ref": "#/definitions/a"}, "type": "array"}},
		"$ref": "#/definitions/a",
	}
	some i in again
	json.match_schema(json.marshal([[[[[[[[[[[[[[[[[[[[i]]]]]]]]]]]]]]]]]]]]), schema)[0] == (i < 0)
}

attacked if {
	do == "strings.render_template"
	some i in again
	template := thousand("{{range .a}}{{range $.a}}{{range $.a}}x{{end}}{{end}}{{end}}")
	count(strings.render_template(template, {"a": numbers.range(1, 1000), "i": i})) < 0
}

attacked if {
	do == "crypto.x509.parse_certificates"
	some i in again
	not crypto.x509.parse_certificates(sprintf("-----BEGIN CERTIFICATE-----\n%s%d\n-----END CERTIFICATE-----\n", [thousand(thousand("A")), i])) == []
	i < 0
}

# In the module itself.
attacked if {
	do == "numbers.range"
	count(numbers.range(1, 1000000000)) < 0
}

attacked if {
	do == "concat"
	some i in again
	count(concat("", [million("aaaaaaaaaa"), million("bbbbbbbbbb"), sprintf("%d", [i])])) < 0
}
