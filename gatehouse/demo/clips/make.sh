#!/bin/sh
# Makes the two clips of this folder again from Debian's vtest.avi (see PROVENANCE.md). Usage: make.sh VTEST_AVI OUT_DIR
set -eu
source=$1
out=$2

excerpt() { # start (s), name: 40 s of H.264 without B-frames, a key frame every 2 s, the same bytes on every run
    ffmpeg -v error -y -ss "$1" -t 40 -i "$source" -an -map_metadata -1 \
        -c:v libx264 -preset slow -crf 30 -g 20 -keyint_min 20 -sc_threshold 0 -bf 0 -pix_fmt yuv420p -threads 1 \
        -fflags +bitexact -flags:v +bitexact -movflags +faststart "$out/$2"
}

excerpt 0 gate-east.mp4
excerpt 39.5 lane-north.mp4
