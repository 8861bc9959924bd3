#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building ingot needs, on Debian 12 or Ubuntu 24.04 and their kin. Does nothing where all is there.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libhwy-dev nlohmann-json3-dev libcli11-dev zlib1g-dev libhdf5-dev
          libpng-dev libjpeg-dev libgtest-dev libbenchmark-dev)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "ingot needs these packages (Debian's names), and this system has no apt to install them with:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  echo "Install them in your system's way, then run: cmake -S . -B build -G Ninja && cmake --build build" >&2
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
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
