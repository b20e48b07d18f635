// Google's verifiers on cases read from standard input, one JSON object per line; see peers_attest.py.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	sev "github.com/google/go-sev-guest/verify"
	sevtrust "github.com/google/go-sev-guest/verify/trust"
	tdx "github.com/google/go-tdx-guest/verify"
)

type files struct {
	folder string
	names  map[string]any
}

func (f files) read(role string) []byte {
	name, _ := f.names[role].(string)
	if name == "" {
		return nil
	}
	data, _ := os.ReadFile(filepath.Join(f.folder, name))
	return data
}

// Collateral of the case where the library asks Intel's service.
func (f files) Get(address string) (map[string][]string, []byte, error) {
	answer := func(header, chain, body string) (map[string][]string, []byte, error) {
		data := f.read(body)
		if data == nil {
			return nil, nil, errors.New("no " + body)
		}
		return map[string][]string{header: {url.QueryEscape(string(f.read(chain)))}}, data, nil
	}
	switch {
	case strings.Contains(address, "/pckcrl"):
		return answer("Sgx-Pck-Crl-Issuer-Chain", "pck_crl_chain", "pck_crl")
	case strings.Contains(address, "/qe/identity"):
		return answer("Sgx-Enclave-Identity-Issuer-Chain", "qe_chain", "qe_identity")
	case strings.Contains(address, "/tcb"):
		return answer("Tcb-Info-Issuer-Chain", "tcb_chain", "tcb_info")
	}
	return answer("", "", "root_crl")
}

func der(data []byte) []byte {
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	return data
}

func checkTdx(c map[string]any, f files, now time.Time) (func() error, error) {
	quote, err := os.ReadFile(filepath.Join(f.folder, c["quote"].(string)))
	if err != nil {
		return nil, err
	}
	// The header of Intel's CRL service names the CRL's issuer: the chain in the quote, less its leaf.
	if at := strings.Index(string(quote), "-----BEGIN"); at >= 0 {
		chain := string(quote[at:])
		if next := strings.Index(chain[1:], "-----BEGIN"); next >= 0 {
			path := filepath.Join(os.TempDir(), fmt.Sprintf("crl-chain-%d", os.Getpid()))
			_ = os.WriteFile(path, []byte(strings.TrimRight(chain[next+1:], "\x00")), 0o600)
			f.names["pck_crl_chain"], _ = filepath.Rel(f.folder, path)
		}
	}
	options := tdx.DefaultOptions()
	options.GetCollateral, options.CheckRevocations, options.Getter, options.Now = true, true, f, now
	if root, err := x509.ParseCertificate(der(f.read("root"))); err == nil {
		options.TrustedRoots = x509.NewCertPool()
		options.TrustedRoots.AddCert(root)
	}
	return func() error { return tdx.RawTdxQuote(quote, options) }, nil
}

type crlOnly struct{ crl []byte }

func (g crlOnly) Get(address string) ([]byte, error) {
	if g.crl != nil && strings.HasSuffix(address, "/crl") {
		return g.crl, nil
	}
	return nil, errors.New("not here")
}

func checkSnp(c map[string]any, f files, now time.Time) (func() error, error) {
	raw, err := os.ReadFile(filepath.Join(f.folder, c["report"].(string)))
	if err != nil {
		return nil, err
	}
	vek, ica, crl := f.read("vek"), f.read("ica"), f.read("crl")
	roots := map[string][]*sevtrust.AMDRootCerts{}
	hasPlace := false // the library takes the CRL's address from the ARK; simulated ones have none
	for _, name := range f.names["roots"].([]any) {
		data, _ := os.ReadFile(filepath.Join(f.folder, name.(string)))
		ark, err := x509.ParseCertificate(data)
		if err != nil {
			continue
		}
		line := strings.TrimPrefix(ark.Subject.CommonName, "ARK-")
		trusted := sevtrust.AMDRootCertsProduct(line)
		trusted.ProductCerts = &sevtrust.ProductCerts{Ark: ark}
		if parsed, err := x509.ParseCertificate(ica); err == nil {
			if strings.Contains(parsed.Subject.CommonName, "VLEK") {
				trusted.ProductCerts.Asvk = parsed
			} else {
				trusted.ProductCerts.Ask = parsed
			}
		}
		roots[line] = append(roots[line], trusted)
		hasPlace = hasPlace || len(ark.CRLDistributionPoints) > 0
	}
	return func() error {
		report, err := abi.ReportToProto(raw)
		if err != nil {
			return err
		}
		chain := &spb.CertificateChain{AskCert: ica}
		if leaf, err := x509.ParseCertificate(vek); err == nil && strings.Contains(leaf.Subject.CommonName, "VLEK") {
			chain.VlekCert = vek
		} else {
			chain.VcekCert = vek
		}
		options := sev.DefaultOptions()
		options.DisableCertFetching, options.Now, options.TrustedRoots = true, now, roots
		options.CheckRevocations, options.Getter = hasPlace && crl != nil, crlOnly{crl}
		return sev.SnpAttestation(&spb.Attestation{Report: report, CertificateChain: chain}, options)
	}, nil
}

// A peer that panics on a case has refused it, and says so.
func guarded(check func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return check()
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c map[string]any
		if json.Unmarshal(lines.Bytes(), &c) != nil {
			continue
		}
		f := files{c["folder"].(string), c["collateral"].(map[string]any)}
		prepare := checkTdx
		if c["report"] != nil {
			prepare = checkSnp
		}
		verdict, micros := "ok", 0.0
		check, err := prepare(c, f, time.Unix(int64(c["seconds"].(float64)), 0))
		if err == nil {
			start := time.Now()
			err = guarded(check)
			micros = float64(time.Since(start).Nanoseconds()) / 1000
		}
		if err != nil {
			verdict = "refused: " + err.Error()
		}
		out, _ := json.Marshal(map[string]any{"id": c["id"], "verdict": verdict, "micros": micros})
		fmt.Println(string(out))
	}
}
