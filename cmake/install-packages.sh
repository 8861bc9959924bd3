#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building ingot needs, on Debian 12 or Ubuntu 24.04 and their kin, and the packages named. Does nothing
# where all is there. Where there is no apt, looks for what is needed, and fails with a list of what is not found.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libhwy-dev nlohmann-json3-dev libcli11-dev zlib1g-dev libhdf5-dev
          libpng-dev libjpeg-dev libgtest-dev libbenchmark-dev)

# What of it is not there, by Debian's names; what the build does without is not asked for.
not_found() {
  command -v cmake >/dev/null || echo cmake
  command -v ninja >/dev/null || command -v ninja-build >/dev/null || echo ninja-build
  [ -n "${CXX:-}" ] || command -v g++ >/dev/null || command -v clang++ >/dev/null || echo "g++ (or clang++)"
  local pkg_config
  pkg_config=$(command -v "${PKG_CONFIG:-pkg-config}" || command -v pkgconf) || { echo pkg-config; return; }
  "$pkg_config" --exists libhwy || echo libhwy-dev
  "$pkg_config" --exists nlohmann_json || echo nlohmann-json3-dev
  "$pkg_config" --exists CLI11 || echo libcli11-dev
  "$pkg_config" --exists zlib || echo zlib1g-dev
  "$pkg_config" --exists gtest || echo libgtest-dev
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  absent=$(not_found)
  [ -z "$absent" ] && exit 0
  {
    echo "ingot: this system has no apt to install packages with, and these were not found (Debian's names):"
    # shellcheck disable=SC2001  # each line is indented
    sed 's/^/  /' <<<"$absent"
    echo "Install them in your system's way, and run this again; where pkg-config does not look, PKG_CONFIG_PATH says."
  } >&2
  exit 1
fi

missing=()
for package in "${packages[@]}" "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "ingot: run as root, or install sudo, to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "Installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {  # COMMAND...: what it prints is shown if it fails
  "$@" >"$log" 2>&1 && return
  local status=$?
  cat "$log" >&2
  echo "ingot: failed: $*" >&2
  exit "$status"
}
quietly "${sudo[@]}" apt-get update -qq
quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 \
  --no-install-recommends "${missing[@]}"
