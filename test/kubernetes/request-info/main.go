// Reads lines of JSON, [method, target], and writes for each what the API server makes of it.
package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
)

type answer struct {
	Refused     bool   `json:"refused"`
	IsResource  bool   `json:"isResource"`
	Verb        string `json:"verb"`
	Path        string `json:"path"`
	Group       string `json:"group"`
	Version     string `json:"version"`
	Namespace   string `json:"namespace"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Name        string `json:"name"`
}

func main() {
	factory := request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
	input := bufio.NewScanner(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		var line [2]string
		if err := json.Unmarshal(input.Bytes(), &line); err != nil {
			panic(err)
		}
		if err := output.Encode(read(factory, line[0], line[1])); err != nil {
			panic(err)
		}
	}
}

func read(factory request.RequestInfoFactory, method string, target string) answer {
	// As a server reads the first line of a request.
	wire := method + " " + target + " HTTP/1.1\r\nHost: api\r\n\r\n"
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
	if err != nil {
		return answer{Refused: true}
	}
	info, err := factory.NewRequestInfo(req)
	if err != nil {
		return answer{Refused: true}
	}
	return answer{
		IsResource:  info.IsResourceRequest,
		Verb:        info.Verb,
		Path:        info.Path,
		Group:       info.APIGroup,
		Version:     info.APIVersion,
		Namespace:   info.Namespace,
		Resource:    info.Resource,
		Subresource: info.Subresource,
		Name:        info.Name,
	}
}
