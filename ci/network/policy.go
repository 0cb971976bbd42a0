package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// table is the nftables table that holds all rules of this program and nothing else.
const table = "ip network-stand-in"

// cluster is everything that the rules depend on.
type cluster struct {
	policies   []*networking.NetworkPolicy
	namespaces []*core.Namespace
	pods       []*core.Pod
}

// refusal is a policy that asks for something that this program does not do.
type refusal struct {
	policy *networking.NetworkPolicy
	why    string
}

// direction collects the rules for what pods send (egress) or receive (ingress).
type direction struct {
	isolated addresses
	allowed  []string
}

// translate makes one nftables ruleset of all policies. A policy that it cannot
// translate whole is refused, and what that policy selects is cut off entirely:
// a gap in this program must never look like a network that lets things through.
func translate(state cluster) (string, []refusal) {
	var refusals []refusal
	cutOff := addresses{}
	egress := direction{isolated: addresses{}}
	ingress := direction{isolated: addresses{}}

	policies := slices.SortedFunc(slices.Values(state.policies), func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	for _, policy := range policies {
		if err := check(policy); err != nil {
			refusals = append(refusals, refusal{policy, err.Error()})
			cutOff.add(state.selected(policy))
			continue
		}
		selected := state.selected(policy)
		for _, kind := range policy.Spec.PolicyTypes {
			switch kind {
			case networking.PolicyTypeEgress:
				egress.isolated.add(selected)
				for _, rule := range policy.Spec.Egress {
					egress.allow(selected, "saddr", "daddr", state.peers(policy, rule.To), rule.Ports)
				}
			case networking.PolicyTypeIngress:
				ingress.isolated.add(selected)
				for _, rule := range policy.Spec.Ingress {
					ingress.allow(selected, "daddr", "saddr", state.peers(policy, rule.From), rule.Ports)
				}
			}
		}
	}
	return render(cutOff, egress, ingress), refusals
}

// check refuses whatever the translation would otherwise pass over in silence.
func check(policy *networking.NetworkPolicy) error {
	spec := policy.Spec
	problems := []error{checkSelector("podSelector", &spec.PodSelector)}
	for _, rule := range spec.Egress {
		problems = append(problems, checkPeers(rule.To), checkPorts(rule.Ports))
	}
	for _, rule := range spec.Ingress {
		problems = append(problems, checkPeers(rule.From), checkPorts(rule.Ports))
	}
	return errors.Join(problems...)
}

func checkSelector(field string, selector *meta.LabelSelector) error {
	if selector != nil && len(selector.MatchExpressions) > 0 {
		return fmt.Errorf("%s.matchExpressions is not supported", field)
	}
	return nil
}

func checkPeers(peers []networking.NetworkPolicyPeer) error {
	for _, peer := range peers {
		if peer.IPBlock != nil {
			return errors.New("ipBlock is not supported")
		}
		if err := errors.Join(
			checkSelector("podSelector", peer.PodSelector),
			checkSelector("namespaceSelector", peer.NamespaceSelector),
		); err != nil {
			return err
		}
	}
	return nil
}

func checkPorts(ports []networking.NetworkPolicyPort) error {
	for _, port := range ports {
		switch {
		case port.EndPort != nil:
			return errors.New("endPort is not supported")
		case port.Port == nil:
			return errors.New("a port without a number is not supported")
		case port.Port.Type != intstr.Int:
			return errors.New("a named port is not supported")
		case protocol(port) != "tcp" && protocol(port) != "udp":
			return fmt.Errorf("protocol %s is not supported", *port.Protocol)
		}
	}
	return nil
}

func protocol(port networking.NetworkPolicyPort) string {
	if port.Protocol == nil {
		return "tcp"
	}
	return strings.ToLower(string(*port.Protocol))
}

// selected are the pods that a policy is about. Of a refused matchExpressions
// only the labels count: more pods than were meant, never fewer.
func (state cluster) selected(policy *networking.NetworkPolicy) addresses {
	return state.match(func(name string) bool { return name == policy.Namespace }, &policy.Spec.PodSelector)
}

// peers are the other ends that a rule names; nil means everybody.
func (state cluster) peers(policy *networking.NetworkPolicy, peers []networking.NetworkPolicyPeer) addresses {
	if len(peers) == 0 {
		return nil
	}
	all := addresses{}
	for _, peer := range peers {
		inNamespace := func(name string) bool { return name == policy.Namespace }
		if peer.NamespaceSelector != nil {
			inNamespace = state.labelled(peer.NamespaceSelector)
		}
		all.add(state.match(inNamespace, peer.PodSelector))
	}
	return all
}

func (state cluster) labelled(selector *meta.LabelSelector) func(namespace string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(state.namespaces, func(namespace *core.Namespace) bool {
			return namespace.Name == name && matches(selector, namespace.Labels)
		})
	}
}

func (state cluster) match(inNamespace func(string) bool, selector *meta.LabelSelector) addresses {
	found := addresses{}
	for _, pod := range state.pods {
		if address, ok := addressOf(pod); ok && inNamespace(pod.Namespace) && matches(selector, pod.Labels) {
			found[address] = struct{}{}
		}
	}
	return found
}

func matches(selector *meta.LabelSelector, set map[string]string) bool {
	return selector == nil || labels.SelectorFromSet(selector.MatchLabels).Matches(labels.Set(set))
}

// addressOf knows no address of a pod on the node's own network (policies are
// not about those) nor of a finished pod, whose address may be another's by now.
func addressOf(pod *core.Pod) (netip.Addr, bool) {
	if pod.Spec.HostNetwork || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(pod.Status.PodIP)
	return address, err == nil && address.Is4()
}

// allow adds a line for each protocol of a rule: own and other name the header
// fields that hold the selected pod and its peer.
func (d *direction) allow(selected addresses, own, other string, peers addresses, ports []networking.NetworkPolicyPort) {
	if len(selected) == 0 || (peers != nil && len(peers) == 0) {
		return // an empty set is no valid nftables, and would match nothing
	}
	line := fmt.Sprintf("ip %s %s ", own, selected)
	if peers != nil {
		line += fmt.Sprintf("ip %s %s ", other, peers)
	}
	if len(ports) == 0 {
		d.allowed = append(d.allowed, line+"return")
	}
	for _, name := range []string{"tcp", "udp"} {
		var numbers []string
		for _, port := range ports {
			if protocol(port) == name {
				numbers = append(numbers, port.Port.String())
			}
		}
		numbers = slices.Compact(numbers)
		if len(numbers) > 0 {
			d.allowed = append(d.allowed, fmt.Sprintf("%s%s dport { %s } return", line, name, strings.Join(numbers, ", ")))
		}
	}
}

// render replaces the whole table in one transaction: nftables shows either all
// of the old rules or all of the new ones. Adding the table first lets the
// deletion succeed when there is none yet.
//
// Packets are dropped, not rejected, so that a connection runs into its timeout
// as with other network plug-ins. ClusterIPs are translated before `forward`; what
// the node itself sends or receives never gets there.
func render(cutOff addresses, egress, ingress direction) string {
	var text strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&text, format+"\n", arguments...) }
	line("add table %s", table)
	line("delete table %s", table)
	line("table %s {", table)
	line("\tchain forward {")
	line("\t\ttype filter hook forward priority filter; policy accept;")
	if len(cutOff) > 0 {
		line("\t\tip saddr %s drop", cutOff)
		line("\t\tip daddr %s drop", cutOff)
	}
	line("\t\tct state established,related accept")
	if len(egress.isolated) > 0 {
		line("\t\tip saddr %s jump egress", egress.isolated)
	}
	if len(ingress.isolated) > 0 {
		line("\t\tip daddr %s jump ingress", ingress.isolated)
	}
	line("\t}")
	for _, chain := range []struct {
		name  string
		rules []string
	}{{"egress", egress.allowed}, {"ingress", ingress.allowed}} {
		line("\tchain %s {", chain.name)
		for _, rule := range chain.rules {
			line("\t\t%s", rule)
		}
		line("\t\tdrop")
		line("\t}")
	}
	line("}")
	return text.String()
}

// addresses is a set that prints as an nftables set, always in the same order.
type addresses map[netip.Addr]struct{}

func (a addresses) add(others addresses) {
	for address := range others {
		a[address] = struct{}{}
	}
}

func (a addresses) String() string {
	var sorted []netip.Addr
	for address := range a {
		sorted = append(sorted, address)
	}
	slices.SortFunc(sorted, netip.Addr.Compare)
	var words []string
	for _, address := range sorted {
		words = append(words, address.String())
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
