#!/bin/sh
# Makes the clips of this folder again from Debian's vtest.avi (see PROVENANCE.md). Usage: make.sh VTEST_AVI OUT_DIR
set -eu
source=$1
out=$2

excerpt() { # start (s), length (s), filter, name: H.264 without B-frames, a key frame every 2 s, the same bytes each time
    ffmpeg -v error -y -ss "$1" -t "$2" -i "$source" -an -map_metadata -1 -vf "$3" \
        -c:v libx264 -preset slow -crf 30 -g 20 -keyint_min 20 -sc_threshold 0 -bf 0 -pix_fmt yuv420p -threads 1 \
        -fflags +bitexact -flags:v +bitexact -movflags +faststart "$out/$4"
}

excerpt 0 40 null gate-east.mp4
excerpt 39.5 40 null lane-north.mp4
excerpt 39.5 28 "drawbox=color=0x404048:t=fill:enable='between(t,11.95,19.95)'" lane-covered.mp4
PYTHONPATH="$(dirname "$0")/../../.." python3 -m gatehouse.demo.clips.draw_lobby "$out/lobby-two-wheelers.mp4"
