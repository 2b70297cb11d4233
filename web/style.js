// The look of the strip and the badges, in the editor's own colours.

const CSS = `
.evertalk-stack { display: flex; flex-direction: column; gap: 6px; overflow: hidden; }
.evertalk-strip { display: flex; flex-direction: column; gap: 4px; overflow: hidden; font: 11px sans-serif;
  color: var(--input-text, #ddd); }
.evertalk-strip > * { flex: none; }
.evertalk-line { height: 16px; line-height: 16px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  color: var(--descrip-text, #999); }
.evertalk-line.evertalk-problem { color: var(--error-text, #f66); }
.evertalk-cells { display: flex; height: 14px; gap: 1px; }
.evertalk-cell { flex: 1 1 0; min-width: 0; border: 0; padding: 0; border-radius: 2px; background: #555; }
.evertalk-cell[data-state=done] { background: #3a9d5d; cursor: pointer; }
.evertalk-cell[data-state=running] { background: linear-gradient(90deg, #4c8bf5 var(--evertalk-part, 0%), #2d4a7c 0); }
.evertalk-cell[data-state=failed] { background: #c94f4f; }
.evertalk-cell[aria-pressed=true] { outline: 1px solid var(--input-text, #ddd); outline-offset: -1px; }
.evertalk-buttons { display: flex; height: 20px; gap: 4px; }
.evertalk-buttons button { flex: 0 1 auto; height: 20px; padding: 0 8px; border: 1px solid var(--border-color, #555);
  border-radius: 4px; background: var(--comfy-input-bg, #222); color: inherit; font: inherit; cursor: pointer;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.evertalk-buttons button:disabled { opacity: 0.5; cursor: default; }
.evertalk-buttons button[hidden] { display: none; }
.evertalk-badges { display: flex; flex-direction: column; gap: 2px; }
.evertalk-badge { height: 18px; line-height: 18px; padding: 0 6px; border-radius: 9px; background: #6b5416; color: #ffe9a8;
  font: 11px/18px sans-serif; align-self: flex-start; max-width: 100%; box-sizing: border-box; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.evertalk-chart svg { display: block; width: 100%; height: 100%; border-radius: 4px; }
.evertalk-video { width: 100%; height: 160px; object-fit: contain; background: #000; border-radius: 4px; }
.evertalk-video[hidden], .evertalk-chart[hidden], .evertalk-cells[hidden], .evertalk-buttons[hidden], .evertalk-line[hidden] { display: none; }
`

/** Lets the page use the style sheet; adds nothing to its elements. */
export function addStyle() {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(CSS)
  document.adoptedStyleSheets.push(sheet)
}
