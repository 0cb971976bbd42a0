package main

import (
	"context"
	"fmt"
	"log"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// reporter says once for each version of a policy that it is refused.
type reporter struct {
	client kubernetes.Interface
	told   map[string]bool
}

// report writes the log and an Event beside the policy, where `kubectl describe` shows it.
func (r reporter) report(ctx context.Context, refusals []refusal) {
	for _, refused := range refusals {
		policy := refused.policy
		name := fmt.Sprintf("%s.%s.%d", policy.Name, policy.UID, policy.Generation)
		if r.told[name] {
			continue
		}
		message := "refused, so every pod it selects is cut off: " + refused.why
		log.Printf("NetworkPolicy %s/%s is %s", policy.Namespace, policy.Name, message)
		now := meta.NewTime(time.Now())
		_, err := r.client.CoreV1().Events(policy.Namespace).Create(ctx, &core.Event{
			ObjectMeta: meta.ObjectMeta{Name: name, Namespace: policy.Namespace},
			InvolvedObject: core.ObjectReference{
				APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy",
				Namespace: policy.Namespace, Name: policy.Name, UID: policy.UID,
			},
			Type: core.EventTypeWarning, Reason: "NotSupported", Message: message, Count: 1,
			Source:         core.EventSource{Component: "network-stand-in"},
			FirstTimestamp: now, LastTimestamp: now,
		}, meta.CreateOptions{})
		if err != nil && !errors.IsAlreadyExists(err) {
			log.Print(err) // the pods are cut off and the log says why; only the Event is missing
			continue
		}
		r.told[name] = true
	}
}
