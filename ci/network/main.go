// Command network is the pod network of the clusters that brinell's own tests
// run on: a stand-in for kindnet on kernels that cannot queue packets to user
// space (NFT_QUEUE), which kindnet needs for NetworkPolicy. It is part of the
// test bed and never of the product.
//
// It runs once on the node, waits until kube-proxy serves ClusterIPs, enforces
// NetworkPolicy by nftables, and only then writes the CNI configuration, so that
// no pod starts on a network that is not ready. It knows one node and IPv4.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

func main() {
	log.SetFlags(log.Lmicroseconds)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	// The API server too is reached through its ClusterIP.
	if err := waitForService(os.Getenv("KUBERNETES_SERVICE_HOST")); err != nil {
		return fmt.Errorf("waiting for kube-proxy: %w", err)
	}
	log.Print("kube-proxy serves ClusterIPs")
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	// From here on the rules must go away when the DaemonSet is deleted.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return enforce(ctx, client)
}

// enforce translates anew whenever a pod, namespace or policy changes, until ctx ends.
func enforce(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()

	// Room for one: a burst of changes is one translation.
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("no list of %v", kind)
		}
	}

	reporter := reporter{client: client, told: map[string]bool{}}
	applied := ""
	for {
		state := cluster{} // a lister reads memory and cannot fail
		state.policies, _ = policies.Lister().List(labels.Everything())
		state.namespaces, _ = namespaces.Lister().List(labels.Everything())
		state.pods, _ = pods.Lister().List(labels.Everything())
		rules, refusals := translate(state)
		if rules != applied {
			if err := apply(ctx, rules); err != nil {
				return err
			}
			if applied == "" {
				if err := writeCNI(os.Getenv("POD_SUBNET")); err != nil {
					return err
				}
				log.Print("the network is ready")
			}
			applied = rules
		}
		reporter.report(ctx, refusals)
		select {
		case <-ctx.Done():
			// Only here: after a failure the last rules stay.
			return removeRules()
		case <-changed:
		}
	}
}
