// dcap-qvl and the sev crate on cases read from standard input, one JSON object per line; see
// peers_attest.py.
use dcap_qvl::{verify::QuoteVerifier, QuoteCollateralV3};
use serde_json::{json, Value};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use std::{io::BufRead, path::Path, time::Instant};

type Answer = Result<f64, String>;

fn read(case: &Value, name: &Value) -> Vec<u8> {
    let folder = case["folder"].as_str().unwrap_or("");
    name.as_str().and_then(|n| std::fs::read(Path::new(folder).join(n)).ok()).unwrap_or_default()
}

fn text(case: &Value, role: &str) -> String {
    String::from_utf8_lossy(&read(case, &case["collateral"][role])).into_owned()
}

// {"tcbInfo":BODY,"signature":"HEX"}: the body's own bytes and the signature.
fn split(document: &str) -> (String, Vec<u8>) {
    let Some(end) = document.rfind(",\"signature\"") else { return (document.into(), vec![]) };
    let begin = document.find(':').map_or(0, |at| at + 1);
    let signature = document[end..].split('"').nth(3).unwrap_or("");
    (document[begin.min(end)..end].into(), hex::decode(signature).unwrap_or_default())
}

fn der(data: Vec<u8>) -> Vec<u8> {
    if data.first() != Some(&b'-') {
        return data;
    }
    let text = String::from_utf8_lossy(&data);
    let body: String = text.lines().filter(|l| !l.starts_with('-')).collect();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap_or_default()
}

fn tdx(case: &Value) -> Answer {
    let (tcb_info, tcb_info_signature) = split(&text(case, "tcb_info"));
    let (qe_identity, qe_identity_signature) = split(&text(case, "qe_identity"));
    let collateral = QuoteCollateralV3 {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: read(case, &case["collateral"]["root_crl"]),
        pck_crl: read(case, &case["collateral"]["pck_crl"]),
        tcb_info_issuer_chain: text(case, "tcb_chain"),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: text(case, "qe_chain"),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    };
    let quote = read(case, &case["quote"]);
    let root = der(read(case, &case["collateral"]["root"]));
    let seconds = case["seconds"].as_u64().unwrap_or(0);
    let start = Instant::now();
    let report = QuoteVerifier::new(root)
        .verify(&quote, &collateral, seconds)
        .map_err(|e| format!("{e:#}"))?;
    let micros = start.elapsed().as_secs_f64() * 1e6;
    if report.status == "UpToDate" { Ok(micros) } else { Err(format!("status {}", report.status)) }
}

// The crate takes one root; the caller chooses it: here the one of the intermediate's line.
fn snp(case: &Value) -> Answer {
    let vek = read(case, &case["collateral"]["vek"]);
    let ica = read(case, &case["collateral"]["ica"]);
    let report = read(case, &case["report"]);
    let mut last = Err("no root".into());
    for name in case["collateral"]["roots"].as_array().into_iter().flatten() {
        let ark = read(case, name);
        let start = Instant::now();
        let attempt = || -> Result<(), String> {
            let chain = Chain::from_der(&ark, &ica, &vek).map_err(|e| e.to_string())?;
            let report = AttestationReport::from_bytes(&report).map_err(|e| e.to_string())?;
            (&chain, &report).verify().map_err(|e| e.to_string())
        };
        last = attempt().map(|()| start.elapsed().as_secs_f64() * 1e6);
        if last.is_ok() {
            break;
        }
    }
    last
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(case) = serde_json::from_str::<Value>(&line) else { continue };
        let judge = if case["report"].is_null() { tdx } else { snp };
        let answer = std::panic::catch_unwind(|| judge(&case)).unwrap_or(Err("panic".into()));
        let (verdict, micros) = match answer {
            Ok(micros) => ("ok".to_string(), micros),
            Err(why) => (format!("refused: {why}"), 0.0),
        };
        println!("{}", json!({ "id": case["id"], "verdict": verdict, "micros": micros }));
    }
}
