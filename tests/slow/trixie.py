"""Programs of Debian trixie for tests on bookworm: fetched by apt from this machine's own mirror,
unpacked below build/trixie, never installed."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "trixie"


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def mirror():
    """Where this machine gets Debian's main archive from."""
    rows = run("apt-get", "indextargets", "--format",
               "$(REPO_URI)|$(LABEL)|$(CODENAME)|$(COMPONENT)", "Created-By: Packages")
    for row in sorted(set(rows.splitlines())):
        uri, label, codename, component = row.split("|")
        if (label, component) == ("Debian", "main") and "-" not in codename:
            return uri
    raise RuntimeError("no Debian mirror in this machine's apt configuration; run apt-get update")


def fetch(package):
    """The unpacked tree of one package."""
    tree = CACHE / package
    if tree.is_dir():
        return tree
    work = CACHE / ".apt"
    (work / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (work / "sources").write_text(f"deb {mirror()} trixie main\n")
    options = [f"Dir::Etc::sourcelist={work}/sources", "Dir::Etc::sourceparts=-",
               f"Dir::State::lists={work}/lists", f"Dir::Cache={work}/cache",
               "APT::Sandbox::User=root"]
    apt = ["apt-get", *(word for option in options for word in ("-o", option))]
    run(*apt, "update")
    run(*apt, "download", package, cwd=work)
    deb = next(work.glob(f"{package}_*.deb"))
    new = CACHE / f".{package}"
    run("dpkg-deb", "-x", str(deb), str(new))
    deb.unlink()
    new.rename(tree)
    return tree
