# Builds kube-apiserver and kube-controller-manager from Debian's source package into $1/bin, once.
# Needs root, for the packages that they are built with; takes 5 to 8 minutes on two cores.
set -eu
cache=$1
export DEBIAN_FRONTEND=noninteractive
sources=/etc/apt/sources.list.d
if [ -f "$sources/debian.sources" ] && ! grep -qr '^Types:.*deb-src' "$sources"; then
  trap 'rm -f "$sources/deploy-src.sources"' EXIT
  sed 's/^Types: .*/Types: deb-src/' "$sources/debian.sources" >"$sources/deploy-src.sources"
fi
apt-get update -q
apt-get install -y -q --no-install-recommends \
  golang-go golang-github-modern-go-reflect2-dev rsync dpkg-dev make
rm -rf "$cache/build"
mkdir -p "$cache/build/home" "$cache/bin"
cd "$cache/build"
apt-get source -q kubernetes
cd kubernetes-1.20*/
# The vendored one breaks on Go 1.18 and later.
rm vendor/github.com/modern-go/reflect2/*.go vendor/github.com/modern-go/reflect2/*.s
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go \
  /usr/share/gocode/src/github.com/modern-go/reflect2/*.s vendor/github.com/modern-go/reflect2/
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
path=$(cd .go && pwd)
cd .go/src/k8s.io/kubernetes
GOPATH=$path CGO_ENABLED=0 HOME=$cache/build/home GOFLAGS=-mod=vendor \
  make WHAT="cmd/kube-apiserver cmd/kube-controller-manager"
cp _output/bin/kube-apiserver _output/bin/kube-controller-manager "$cache/build/"
cd "$cache"
mv build/kube-apiserver build/kube-controller-manager bin/
# Go makes its module cache read-only.
chmod -R u+w build && rm -rf build
