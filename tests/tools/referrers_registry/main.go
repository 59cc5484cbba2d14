// Serves a registry in memory that has the referrers API, on the loopback until it is killed.
//
// usage: referrers_registry go-containerregistry|ociregistry|ociregistry-as-ECR HOST:PORT
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/google/go-containerregistry/pkg/registry"
)

func handler(kind string) (http.Handler, error) {
	switch kind {
	// Calls every referrer by the media type of its configuration: a Sigstore bundle is listed as `application/vnd.oci.empty.v1+json`.
	case "go-containerregistry":
		return registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))), nil
	// Follows the specification to the letter, and refuses manifests that don't.
	case "ociregistry":
		return ociserver.New(ocimem.New(), nil), nil
	// The same with what its authors found that ECR does.
	case "ociregistry-as-ECR":
		return ociserver.New(ocimem.New(), &ociserver.Options{
			MaxListPageSize:              1000,
			OmitDigestFromTagGetResponse: true,
			OmitLinkHeaderFromResponses:  true,
		}), nil
	}
	return nil, fmt.Errorf("unknown kind of registry: %s", kind)
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: referrers_registry go-containerregistry|ociregistry|ociregistry-as-ECR HOST:PORT")
	}
	serve, err := handler(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[2], serve))
}
