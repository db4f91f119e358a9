// A real Kubernetes API server with its etcd, in one process, for the tests of the driver
// chaos-mesh. There are no controllers, no scheduler and no nodes.
//
// usage: apiserver FOLDER
//
// It prints a line when it is ready; FOLDER/admin.conf is a kubeconfig for it then. It ends when its
// standard input does, so that it never outlives the test that started it.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const startLimit = 120 * time.Second

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: apiserver FOLDER")
		os.Exit(2)
	}
	if err := start(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func start(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	etcd, err := startEtcd(folder)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	server, err := freeAddress()
	if err != nil {
		return err
	}
	token := rand.Text()
	if err := writeFiles(folder, server, token); err != nil {
		return err
	}
	key := filepath.Join(folder, "accounts.key")
	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + server.Port(),
		"--cert-dir=" + filepath.Join(folder, "certs"),
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC",
		"--token-auth-file=" + filepath.Join(folder, "tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		"--profiling=false",
	})
	go func() { os.Exit(cli.Run(command)) }()
	return waitUntilReady(server.String() + "/readyz")
}

// Starts etcd and returns its address. Nothing is to survive, so that it need not sync.
func startEtcd(folder string) (string, error) {
	client, err := freeAddress()
	if err != nil {
		return "", err
	}
	peer, err := freeAddress()
	if err != nil {
		return "", err
	}
	client.Scheme, peer.Scheme = "http", "http"
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return "", err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return client.String(), nil
	case err := <-etcd.Err():
		return "", err
	case <-time.After(startLimit):
		return "", fmt.Errorf("not ready after %s", startLimit)
	}
}

// The key that signs tokens of service accounts, the administrator's token, and a kubeconfig with it.
func writeFiles(folder string, server *url.URL, token string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	// As JSON, which is YAML as well.
	kubeconfig := `{
  "apiVersion": "v1",
  "kind": "Config",
  "clusters": [
    {"name": "test", "cluster": {"server": "%s", "certificate-authority": "certs/apiserver.crt"}}
  ],
  "users": [{"name": "admin", "user": {"token": "%s"}}],
  "contexts": [{"name": "admin", "context": {"cluster": "test", "user": "admin"}}],
  "current-context": "admin"
}
`
	files := map[string]string{
		"accounts.key": string(pem.EncodeToMemory(&block)),
		"tokens.csv":   token + ",admin,1,\"system:masters\"\n",
		"admin.conf":   fmt.Sprintf(kubeconfig, server, token),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func waitUntilReady(address string) error {
	// The certificate is being made meanwhile; nothing that is secret is asked for.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	for until := time.Now().Add(startLimit); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		answer, err := client.Get(address)
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready after %s", address, startLimit)
}

// A port of this machine that nobody listens on.
func freeAddress() (*url.URL, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	return &url.URL{Scheme: "https", Host: listener.Addr().String()}, nil
}
