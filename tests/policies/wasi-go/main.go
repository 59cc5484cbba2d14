// A WASI policy built by the Go compiler. It adds the annotations that its settings require, rejects what is forbidden,
// and makes a host call where the settings name one; its message is then the answer.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

type settings struct {
	RequiredAnnotations  map[string]string `json:"requiredAnnotations"`
	ForbiddenAnnotations []string          `json:"forbiddenAnnotations"`
	HostCall             *call             `json:"hostCall"`
	// Exercises what the Go runtime asks of WASI: timers, goroutines, the garbage collector.
	Runtime bool `json:"runtime"`
}

type call struct {
	Binding   string          `json:"binding"`
	Namespace string          `json:"namespace"`
	Operation string          `json:"operation"`
	Payload   json.RawMessage `json:"payload"`
}

func main() { run(validate, validateSettings) }

func readSettings(text []byte) (settings, error) {
	var read settings
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return read, err
	}
	for name := range read.RequiredAnnotations {
		if slices.Contains(read.ForbiddenAnnotations, name) {
			return read, fmt.Errorf("annotation %q is both required and forbidden", name)
		}
	}
	return read, nil
}

func validateSettings(text []byte) settingsResponse {
	if _, err := readSettings(text); err != nil {
		return settingsResponse{Message: "the settings are not valid: " + err.Error()}
	}
	return settingsResponse{Valid: true}
}

func validate(request validationRequest) (validationResponse, error) {
	read, err := readSettings(request.Settings)
	if err != nil {
		return validationResponse{}, fmt.Errorf("cannot read the settings: %w", err)
	}
	if read.Runtime {
		return exerciseRuntime(), nil
	}
	if read.HostCall != nil {
		return callHost(*read.HostCall), nil
	}
	// Kubernetes requests hold the object, raw requests are it.
	var envelope struct {
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(request.Request, &envelope); err != nil {
		return validationResponse{}, fmt.Errorf("cannot read the request: %w", err)
	}
	text := envelope.Object
	if text == nil {
		text = request.Request
	}
	return checkAnnotations(text, read)
}

func checkAnnotations(text []byte, read settings) (validationResponse, error) {
	// RawMessage keeps what the policy does not look at as it is, numbers included.
	object := map[string]json.RawMessage{}
	metadata := map[string]json.RawMessage{}
	annotations := map[string]string{}
	if err := json.Unmarshal(text, &object); err != nil {
		return validationResponse{}, fmt.Errorf("cannot read the object: %w", err)
	}
	if err := unmarshalIfPresent(object["metadata"], &metadata); err != nil {
		return validationResponse{}, fmt.Errorf("cannot read the metadata: %w", err)
	}
	if err := unmarshalIfPresent(metadata["annotations"], &annotations); err != nil {
		return validationResponse{}, fmt.Errorf("cannot read the annotations: %w", err)
	}
	for _, name := range read.ForbiddenAnnotations {
		if _, found := annotations[name]; found {
			return validationResponse{
				Message:          fmt.Sprintf("annotation %q is forbidden", name),
				Code:             403,
				Warnings:         []string{"remove " + name},
				AuditAnnotations: map[string]string{"forbidden": name},
			}, nil
		}
	}
	changed := false
	for name, value := range read.RequiredAnnotations {
		if annotations[name] != value {
			annotations[name] = value
			changed = true
		}
	}
	if !changed {
		return validationResponse{Accepted: true}, nil
	}
	metadata["annotations"] = mustMarshal(annotations)
	object["metadata"] = mustMarshal(metadata)
	return validationResponse{Accepted: true, MutatedObject: object}, nil
}

func unmarshalIfPresent(text json.RawMessage, into any) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func mustMarshal(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

func callHost(told call) validationResponse {
	if told.Binding == "" {
		told.Binding = "kubewarden"
	}
	answer, err := hostCall(told.Binding, told.Namespace, told.Operation, told.Payload)
	if err != nil {
		return validationResponse{Message: err.Error()}
	}
	return validationResponse{Accepted: true, Message: string(answer)}
}

func exerciseRuntime() validationResponse {
	var group sync.WaitGroup
	sums := make([]int, 16)
	for index := range sums {
		group.Go(func() {
			for turn := range 20 {
				garbage := make([]byte, 16*1024)
				sums[index] += len(garbage) + turn
				runtime.Gosched()
			}
			time.Sleep(time.Millisecond)
		})
	}
	group.Wait()
	runtime.GC()
	select {
	case <-time.After(2 * time.Millisecond):
	}
	environment, _ := os.ReadDir("/")
	return validationResponse{
		Accepted: true,
		Message:  fmt.Sprintf("%d goroutines, %d files, %d variables", len(sums), len(environment), len(os.Environ())),
	}
}
