// Small drawings, so that nothing is told by colour alone. Drawn on 24 x 24; they are decoration beside words.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  granted: "M4.5 12.5l5 5L19.5 7",
  denied: "M6 6l12 12M18 6L6 18",
  alarm: "M12 3.5l9.5 17h-19zM12 10v5M12 17.6v.4",
  door: "M6 21V3h12v18M3.5 21h17M14.5 12v.6",
  camera: "M3 7h12v10H3zM15 11l6-3v8l-6-3z",
  person: "M12 4a3.5 3.5 0 100 7 3.5 3.5 0 000-7zM5 21c0-5 3-7.5 7-7.5s7 2.5 7 7.5",
  vehicle: "M4 16v-4l2.5-5h11L20 12v4zM4 12h16M7 16v2.5M17 16v2.5",
  system: "M5 5h14v14H5zM9 1.5V5M15 1.5V5M9 19v3.5M15 19v3.5M1.5 9H5M1.5 15H5M19 9h3.5M19 15h3.5",
  closed: "M7 11V8a5 5 0 0110 0v3M5 11h14v10H5z",
  open: "M5 21V3h9v18M14 5l5 2v14M3 21h18M11 12v.6",
  held: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3.5 2.5",
  forced: "M12 3.5l9.5 17h-19zM12 10v5M12 17.6v.4",
  unknown: "M9 9a3 3 0 114.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.6v.4M12 2.5a9.5 9.5 0 100 19 9.5 9.5 0 000-19z",
};

/** A drawing by its name. */
export function glyph(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `glyph-drawing glyph-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
