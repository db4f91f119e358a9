// A real Kubernetes control plane in one program, for tests: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler and kubectl. There are no nodes.
//
// usage: control-plane FOLDER               etcd and the API server
//
//	control-plane FOLDER controllers   the controller manager and the scheduler as well
//	control-plane kubectl …            kubectl
//
// With a folder it prints a line when it is ready; FOLDER/admin.conf is a kubeconfig for it then. It
// ends when its standard input does, so that it never outlives the test that started it.
package main

import (
	"context"
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
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	// Time zones of CronJobs, which a machine need not have.
	_ "time/tzdata"

	"go.etcd.io/etcd/server/v3/embed"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const (
	startLimit = 120 * time.Second
	usage      = "usage: control-plane FOLDER [controllers] | control-plane kubectl ARGUMENTS"
)

func main() {
	// Parts run in processes of their own, because each sets up logging, flags and metrics that are
	// global to a process.
	if len(os.Args) > 1 {
		switch name := os.Args[1]; name {
		case "kube-controller-manager":
			os.Args = os.Args[1:]
			os.Exit(cli.Run(manager.NewControllerManagerCommand()))
		case "kube-scheduler":
			os.Args = os.Args[1:]
			os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
		case "kubectl":
			os.Args = os.Args[1:]
			if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
				util.CheckErr(err)
			}
			return
		}
	}
	withControllers := len(os.Args) == 3 && os.Args[2] == "controllers"
	if len(os.Args) != 2 && !withControllers {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := start(os.Args[1], withControllers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func start(folder string, withControllers bool) error {
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
	if err := writeFiles(folder, server); err != nil {
		return err
	}
	key := filepath.Join(folder, "accounts.key")
	command := apiserver.NewAPIServerCommand()
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
	if err := waitUntilReady(server.String() + "/readyz"); err != nil {
		return err
	}
	if withControllers {
		return startControllers(folder)
	}
	return nil
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

// Starts the controller manager and the scheduler, and waits until the first has made the account
// without which no pod is admitted.
func startControllers(folder string) error {
	config := func(part string) string { return filepath.Join(folder, part+".conf") }
	parts := map[string][]string{
		"kube-controller-manager": {
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + filepath.Join(folder, "accounts.key"),
			"--root-ca-file=" + filepath.Join(folder, "certs", "apiserver.crt"),
		},
		"kube-scheduler": nil,
	}
	for part, more := range parts {
		// Nobody asks them anything, so that they need no port.
		arguments := append([]string{
			part,
			"--kubeconfig=" + config(part),
			"--leader-elect=false",
			"--secure-port=0",
		}, more...)
		if err := startPart(folder, part, arguments); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	access, err := clientcmd.BuildConfigFromFlags("", config("admin"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return err
	}
	accounts := client.CoreV1().ServiceAccounts("default")
	for until := time.Now().Add(startLimit); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if _, err = accounts.Get(context.Background(), "default", metav1.GetOptions{}); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the controllers are not ready after %s: %w", startLimit, err)
}

// Starts this program anew as another part, which ends when this process does, however that ends.
// What it says is in FOLDER/PART.log.
func startPart(folder, part string, arguments []string) error {
	this, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(folder, part+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(this, arguments...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The signal comes when the thread that started the child ends, so that one is kept for it.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			err = command.Wait()
			fmt.Fprintf(os.Stderr, "%s ended, see %s: %v\n", part, log.Name(), err)
			os.Exit(1)
		}
	}()
	return <-started
}

// The key that signs tokens of service accounts, and for each who calls the API server a token and a
// kubeconfig with it.
func writeFiles(folder string, server *url.URL) error {
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
	files := map[string]string{"accounts.key": string(pem.EncodeToMemory(&block))}
	users := []struct{ file, user, group string }{
		{"admin", "admin", "system:masters"},
		{"kube-controller-manager", "system:kube-controller-manager", ""},
		{"kube-scheduler", "system:kube-scheduler", ""},
	}
	var tokens strings.Builder
	for _, who := range users {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, who.user, who.user, who.group)
		files[who.file+".conf"] = fmt.Sprintf(kubeconfig, server, token)
	}
	files["tokens.csv"] = tokens.String()
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
