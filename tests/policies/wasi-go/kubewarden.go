package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"
)

// What a WASI policy needs of its host, in a few lines: one JSON document comes in on standard input, one goes out on
// standard output, and `host.call` leaves its answer on standard input (the WASI mode of Kubewarden's policies).

type validationRequest struct {
	Request  json.RawMessage `json:"request"`
	Settings json.RawMessage `json:"settings"`
}

type validationResponse struct {
	Accepted         bool              `json:"accepted"`
	Message          string            `json:"message,omitempty"`
	Code             uint16            `json:"code,omitempty"`
	MutatedObject    any               `json:"mutated_object,omitempty"`
	AuditAnnotations map[string]string `json:"audit_annotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

type settingsResponse struct {
	Valid   bool   `json:"valid"`
	Message string `json:"message,omitempty"`
}

//go:wasmimport host call
func wasiHostCall(bdPtr, bdLen, nsPtr, nsLen, opPtr, opLen, ptr, length uint32) uint32

func pointer(bytes []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))
}

// hostCall asks the host, which answers on standard input: the response, or the text of an error.
func hostCall(binding, namespace, operation string, payload []byte) ([]byte, error) {
	bd, ns, op := []byte(binding), []byte(namespace), []byte(operation)
	status := wasiHostCall(
		pointer(bd), uint32(len(bd)), pointer(ns), uint32(len(ns)),
		pointer(op), uint32(len(op)), pointer(payload), uint32(len(payload)),
	)
	answer, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("cannot read the host's answer: %w", err)
	}
	if status != 0 {
		return nil, errors.New(string(answer))
	}
	return answer, nil
}

// run calls the function that the host's argument names. What fails goes to standard error and ends the policy.
func run(validate func(validationRequest) (validationResponse, error), validateSettings func([]byte) settingsResponse) {
	if err := dispatch(validate, validateSettings); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func dispatch(validate func(validationRequest) (validationResponse, error), validateSettings func([]byte) settingsResponse) error {
	if len(os.Args) != 2 {
		return fmt.Errorf("expected one argument, got %d", len(os.Args)-1)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("cannot read standard input: %w", err)
	}
	var answer any
	switch os.Args[1] {
	case "validate":
		var request validationRequest
		if err := json.Unmarshal(input, &request); err != nil {
			return fmt.Errorf("cannot read the request: %w", err)
		}
		if answer, err = validate(request); err != nil {
			return err
		}
	case "validate-settings":
		answer = validateSettings(input)
	default:
		return fmt.Errorf("unknown command %q", os.Args[1])
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
