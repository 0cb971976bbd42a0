package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = flag.Bool("update", false, "write the expected rulesets anew")

// Each testdata/NAME.yaml is translated together with the pods and namespaces of
// testdata/cluster.yaml; the ruleset must be testdata/NAME.nft.
func TestRulesets(t *testing.T) {
	inputs, err := filepath.Glob("testdata/policy-*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no test data", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			rules, refusals := translate(load(t, "testdata/cluster.yaml", input))
			if len(refusals) > 0 {
				t.Fatalf("refused: %s", refusals[0].why)
			}
			expected := strings.TrimSuffix(input, ".yaml") + ".nft"
			if *update {
				if err := os.WriteFile(expected, []byte(rules), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := os.ReadFile(expected); err != nil || string(text) != rules {
				t.Errorf("not as in %s (%v):\n%s", expected, err, rules)
			}
		})
	}
}

func TestTranslationDoesNotDependOnOrder(t *testing.T) {
	state := load(t, "testdata/cluster.yaml", "testdata/policy-egress.yaml", "testdata/policy-ingress.yaml")
	first, _ := translate(state)
	slices.Reverse(state.pods)
	slices.Reverse(state.namespaces)
	slices.Reverse(state.policies)
	if second, _ := translate(state); second != first {
		t.Errorf("got\n%s\nand\n%s", first, second)
	}
}

// Each kind of field that is not supported is refused by name, and whatever else the
// policy says, its pods are cut off.
func TestRefusals(t *testing.T) {
	refused := map[string]string{
		"{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}":                                                "podSelector.matchExpressions is not supported",
		"{egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}":                                                                 "ipBlock is not supported",
		"{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}":                                                              "ipBlock is not supported",
		"{egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]}":                            "podSelector.matchExpressions is not supported",
		"{ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a]}]}}]}]}":         "namespaceSelector.matchExpressions is not supported",
		"{egress: [{ports: [{port: 80, endPort: 90}]}]}":                                                                   "endPort is not supported",
		"{egress: [{ports: [{port: http}]}]}":                                                                              "a named port is not supported",
		"{ingress: [{ports: [{protocol: TCP}]}]}":                                                                          "a port without a number is not supported",
		"{ingress: [{ports: [{protocol: SCTP, port: 80}]}]}":                                                               "protocol SCTP is not supported",
		"{egress: [{}], ingress: [{from: [{podSelector: {}}], ports: [{port: 1}, {port: 2, endPort: 3, protocol: UDP}]}]}": "endPort is not supported",
	}
	for spec, why := range refused {
		t.Run(spec, func(t *testing.T) {
			state := load(t, "testdata/cluster.yaml")
			state.policies = []*networking.NetworkPolicy{policy(t, spec)}
			rules, refusals := translate(state)
			if len(refusals) != 1 || refusals[0].why != why {
				t.Fatalf("expected %q, got %v", why, refusals)
			}
			for _, rule := range []string{
				"ip saddr { 10.244.0.10, 10.244.0.11, 10.244.0.12 } drop",
				"ip daddr { 10.244.0.10, 10.244.0.11, 10.244.0.12 } drop",
			} {
				before, _, found := strings.Cut(rules, rule)
				if !found || strings.Contains(before, "accept\n") {
					t.Errorf("expected %q before any other rule in\n%s", rule, rules)
				}
			}
			if strings.Contains(rules, "return") {
				t.Errorf("a refused policy allows something:\n%s", rules)
			}
		})
	}
}

func TestARefusedPolicyLeavesOtherPodsAlone(t *testing.T) {
	state := load(t, "testdata/cluster.yaml")
	state.policies = []*networking.NetworkPolicy{policy(t, "{podSelector: {matchLabels: {app: app}}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}")}
	rules, _ := translate(state)
	if !strings.Contains(rules, "ip saddr { 10.244.0.10 } drop") || strings.Contains(rules, "10.244.0.11") {
		t.Error(rules)
	}
}

func policy(t *testing.T, spec string) *networking.NetworkPolicy {
	t.Helper()
	made := &networking.NetworkPolicy{}
	text := "{metadata: {name: refused, namespace: shop}, spec: " + spec + "}"
	if err := yaml.UnmarshalStrict([]byte(text), made); err != nil {
		t.Fatal(err)
	}
	// What the API server fills in.
	made.Spec.PolicyTypes = []networking.PolicyType{networking.PolicyTypeEgress, networking.PolicyTypeIngress}
	return made
}

func load(t *testing.T, files ...string) cluster {
	t.Helper()
	var state cluster
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch object := object.(type) {
			case *core.Pod:
				state.pods = append(state.pods, object)
			case *core.Namespace:
				state.namespaces = append(state.namespaces, object)
			case *networking.NetworkPolicy:
				state.policies = append(state.policies, object)
			}
		}
	}
	return state
}
