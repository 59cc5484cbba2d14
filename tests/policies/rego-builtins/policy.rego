# Written by tests/tools/rego_dispatcher.ts: calls the builtins that a request asks for.
package builtins

answers := [[index, type_name(value), value] |
	call := input.request.calls[index]
	value := answer(call.name, call.operands)
]

main := {"response": {"uid": "", "allowed": true, "warnings": [json.marshal(answers)]}}

answer("base64url.encode_no_pad", operands) := value if {
	value := base64url.encode_no_pad(operands[0])
}

answer("crypto.hmac.equal", operands) := value if {
	value := crypto.hmac.equal(operands[0], operands[1])
}

answer("crypto.hmac.md5", operands) := value if {
	value := crypto.hmac.md5(operands[0], operands[1])
}

answer("crypto.hmac.sha1", operands) := value if {
	value := crypto.hmac.sha1(operands[0], operands[1])
}

answer("crypto.hmac.sha256", operands) := value if {
	value := crypto.hmac.sha256(operands[0], operands[1])
}

answer("crypto.hmac.sha512", operands) := value if {
	value := crypto.hmac.sha512(operands[0], operands[1])
}

answer("crypto.md5", operands) := value if {
	value := crypto.md5(operands[0])
}

answer("crypto.parse_private_keys", operands) := value if {
	value := crypto.parse_private_keys(operands[0])
}

answer("crypto.sha1", operands) := value if {
	value := crypto.sha1(operands[0])
}

answer("crypto.sha256", operands) := value if {
	value := crypto.sha256(operands[0])
}

answer("crypto.x509.parse_and_verify_certificates", operands) := value if {
	value := crypto.x509.parse_and_verify_certificates(operands[0])
}

answer("crypto.x509.parse_and_verify_certificates_with_options", operands) := value if {
	value := crypto.x509.parse_and_verify_certificates_with_options(operands[0], operands[1])
}

answer("crypto.x509.parse_certificate_request", operands) := value if {
	value := crypto.x509.parse_certificate_request(operands[0])
}

answer("crypto.x509.parse_certificates", operands) := value if {
	value := crypto.x509.parse_certificates(operands[0])
}

answer("crypto.x509.parse_keypair", operands) := value if {
	value := crypto.x509.parse_keypair(operands[0], operands[1])
}

answer("crypto.x509.parse_rsa_private_key", operands) := value if {
	value := crypto.x509.parse_rsa_private_key(operands[0])
}

answer("glob.quote_meta", operands) := value if {
	value := glob.quote_meta(operands[0])
}

answer("graph.reachable_paths", operands) := value if {
	value := graph.reachable_paths(operands[0], operands[1])
}

answer("hex.decode", operands) := value if {
	value := hex.decode(operands[0])
}

answer("hex.encode", operands) := value if {
	value := hex.encode(operands[0])
}

answer("indexof_n", operands) := value if {
	value := indexof_n(operands[0], operands[1])
}

answer("io.jwt.decode", operands) := value if {
	value := io.jwt.decode(operands[0])
}

answer("io.jwt.decode_verify", operands) := value if {
	value := io.jwt.decode_verify(operands[0], operands[1])
}

answer("io.jwt.encode_sign", operands) := value if {
	value := io.jwt.encode_sign(operands[0], operands[1], operands[2])
}

answer("io.jwt.encode_sign_raw", operands) := value if {
	value := io.jwt.encode_sign_raw(operands[0], operands[1], operands[2])
}

answer("io.jwt.verify_eddsa", operands) := value if {
	value := io.jwt.verify_eddsa(operands[0], operands[1])
}

answer("io.jwt.verify_es256", operands) := value if {
	value := io.jwt.verify_es256(operands[0], operands[1])
}

answer("io.jwt.verify_es384", operands) := value if {
	value := io.jwt.verify_es384(operands[0], operands[1])
}

answer("io.jwt.verify_es512", operands) := value if {
	value := io.jwt.verify_es512(operands[0], operands[1])
}

answer("io.jwt.verify_hs256", operands) := value if {
	value := io.jwt.verify_hs256(operands[0], operands[1])
}

answer("io.jwt.verify_hs384", operands) := value if {
	value := io.jwt.verify_hs384(operands[0], operands[1])
}

answer("io.jwt.verify_hs512", operands) := value if {
	value := io.jwt.verify_hs512(operands[0], operands[1])
}

answer("io.jwt.verify_ps256", operands) := value if {
	value := io.jwt.verify_ps256(operands[0], operands[1])
}

answer("io.jwt.verify_ps384", operands) := value if {
	value := io.jwt.verify_ps384(operands[0], operands[1])
}

answer("io.jwt.verify_ps512", operands) := value if {
	value := io.jwt.verify_ps512(operands[0], operands[1])
}

answer("io.jwt.verify_rs256", operands) := value if {
	value := io.jwt.verify_rs256(operands[0], operands[1])
}

answer("io.jwt.verify_rs384", operands) := value if {
	value := io.jwt.verify_rs384(operands[0], operands[1])
}

answer("io.jwt.verify_rs512", operands) := value if {
	value := io.jwt.verify_rs512(operands[0], operands[1])
}

answer("json.marshal_with_options", operands) := value if {
	value := json.marshal_with_options(operands[0], operands[1])
}

answer("json.match_schema", operands) := value if {
	value := json.match_schema(operands[0], operands[1])
}

answer("json.patch", operands) := value if {
	value := json.patch(operands[0], operands[1])
}

answer("json.verify_schema", operands) := value if {
	value := json.verify_schema(operands[0])
}

answer("net.cidr_contains_matches", operands) := value if {
	value := net.cidr_contains_matches(operands[0], operands[1])
}

answer("net.cidr_contains_matches#set", operands) := value if {
	first := {element | element := operands[0][_]}
	value := net.cidr_contains_matches(first, operands[1])
}

answer("net.cidr_expand", operands) := value if {
	value := net.cidr_expand(operands[0])
}

answer("net.cidr_is_valid", operands) := value if {
	value := net.cidr_is_valid(operands[0])
}

answer("net.cidr_merge", operands) := value if {
	value := net.cidr_merge(operands[0])
}

answer("net.cidr_merge#set", operands) := value if {
	first := {element | element := operands[0][_]}
	value := net.cidr_merge(first)
}

answer("net.lookup_ip_addr", operands) := value if {
	value := net.lookup_ip_addr(operands[0])
}

answer("numbers.range_step", operands) := value if {
	value := numbers.range_step(operands[0], operands[1], operands[2])
}

answer("object.subset", operands) := value if {
	value := object.subset(operands[0], operands[1])
}

answer("object.subset#set", operands) := value if {
	first := {element | element := operands[0][_]}
	value := object.subset(first, operands[1])
}

answer("providers.aws.sign_req", operands) := value if {
	value := providers.aws.sign_req(operands[0], operands[1], operands[2])
}

answer("rand.intn", operands) := value if {
	value := rand.intn(operands[0], operands[1])
}

answer("regex.find_n", operands) := value if {
	value := regex.find_n(operands[0], operands[1], operands[2])
}

answer("regex.globs_match", operands) := value if {
	value := regex.globs_match(operands[0], operands[1])
}

answer("regex.replace", operands) := value if {
	value := regex.replace(operands[0], operands[1], operands[2])
}

answer("regex.split", operands) := value if {
	value := regex.split(operands[0], operands[1])
}

answer("regex.template_match", operands) := value if {
	value := regex.template_match(operands[0], operands[1], operands[2], operands[3])
}

answer("semver.compare", operands) := value if {
	value := semver.compare(operands[0], operands[1])
}

answer("semver.is_valid", operands) := value if {
	value := semver.is_valid(operands[0])
}

answer("sprintf", operands) := value if {
	value := sprintf(operands[0], operands[1])
}

answer("strings.any_prefix_match", operands) := value if {
	value := strings.any_prefix_match(operands[0], operands[1])
}

answer("strings.any_suffix_match", operands) := value if {
	value := strings.any_suffix_match(operands[0], operands[1])
}

answer("strings.count", operands) := value if {
	value := strings.count(operands[0], operands[1])
}

answer("strings.render_template", operands) := value if {
	value := strings.render_template(operands[0], operands[1])
}

answer("strings.split_n", operands) := value if {
	value := strings.split_n(operands[0], operands[1], operands[2])
}

answer("time.add_date", operands) := value if {
	value := time.add_date(operands[0], operands[1], operands[2], operands[3])
}

answer("time.clock", operands) := value if {
	value := time.clock(operands[0])
}

answer("time.date", operands) := value if {
	value := time.date(operands[0])
}

answer("time.diff", operands) := value if {
	value := time.diff(operands[0], operands[1])
}

answer("time.format", operands) := value if {
	value := time.format(operands[0])
}

answer("time.parse_duration_ns", operands) := value if {
	value := time.parse_duration_ns(operands[0])
}

answer("time.parse_ns", operands) := value if {
	value := time.parse_ns(operands[0], operands[1])
}

answer("time.parse_rfc3339_ns", operands) := value if {
	value := time.parse_rfc3339_ns(operands[0])
}

answer("time.weekday", operands) := value if {
	value := time.weekday(operands[0])
}

answer("trace", operands) := value if {
	value := trace(operands[0])
}

answer("units.parse", operands) := value if {
	value := units.parse(operands[0])
}

answer("units.parse_bytes", operands) := value if {
	value := units.parse_bytes(operands[0])
}

answer("uri.is_valid", operands) := value if {
	value := uri.is_valid(operands[0])
}

answer("uri.parse", operands) := value if {
	value := uri.parse(operands[0])
}

answer("urlquery.decode", operands) := value if {
	value := urlquery.decode(operands[0])
}

answer("urlquery.decode_object", operands) := value if {
	value := urlquery.decode_object(operands[0])
}

answer("urlquery.encode", operands) := value if {
	value := urlquery.encode(operands[0])
}

answer("urlquery.encode_object", operands) := value if {
	value := urlquery.encode_object(operands[0])
}

answer("uuid.parse", operands) := value if {
	value := uuid.parse(operands[0])
}

answer("uuid.rfc4122", operands) := value if {
	value := uuid.rfc4122(operands[0])
}

answer("yaml.is_valid", operands) := value if {
	value := yaml.is_valid(operands[0])
}

answer("yaml.marshal", operands) := value if {
	value := yaml.marshal(operands[0])
}

answer("yaml.marshal#set", operands) := value if {
	first := {element | element := operands[0][_]}
	value := yaml.marshal(first)
}

answer("yaml.unmarshal", operands) := value if {
	value := yaml.unmarshal(operands[0])
}
