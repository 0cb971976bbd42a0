package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// cniDirectory is where the container runtime looks; the DaemonSet mounts the node's.
const cniDirectory = "/etc/cni/net.d"

// nftablesGroup is NFNLGRP_NFTABLES: the netlink group that hears of each change of nftables.
const nftablesGroup = 7

// waitForService returns as soon as some nftables rule speaks of the given
// ClusterIP, in whichever form kube-proxy's mode writes it. The kernel announces
// each change, so nothing is asked twice without cause; listening starts before the
// first look, so no change is missed.
func waitForService(clusterIP string) error {
	if clusterIP == "" {
		return errors.New("KUBERNETES_SERVICE_HOST is not set")
	}
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	if err := syscall.Bind(socket, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: 1 << (nftablesGroup - 1)}); err != nil {
		return err
	}
	announcement := make([]byte, 1<<16)
	for {
		rules, err := exec.Command("nft", "list", "ruleset").Output()
		if err != nil {
			return fmt.Errorf("nft list ruleset: %w", err)
		}
		if bytes.Contains(rules, []byte(clusterIP+" ")) {
			return nil
		}
		// ENOBUFS says that announcements were lost, which is an announcement too.
		if _, err := syscall.Read(socket, announcement); err != nil && err != syscall.ENOBUFS && err != syscall.EINTR {
			return err
		}
	}
}

// apply hands a whole ruleset to the kernel, which takes all of it or nothing.
func apply(ctx context.Context, rules string) error {
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if output, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, output, rules)
	}
	return nil
}

func removeRules() error {
	log.Print("removing the rules: NetworkPolicy is enforced no more")
	return apply(context.Background(), fmt.Sprintf("add table %s\ndelete table %s\n", table, table))
}

// writeCNI makes the node ready for pods: one subnet, a pair of interfaces and a route for each pod.
func writeCNI(podSubnet string) error {
	config := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"pods","plugins":[
 {"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":%q}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
`, podSubnet)
	// The runtime watches the directory and must not read half a file.
	unfinished := filepath.Join(cniDirectory, ".unfinished")
	if err := os.WriteFile(unfinished, []byte(config), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, filepath.Join(cniDirectory, "10-network-stand-in.conflist"))
}
