// The chart of a strip: colour drift and joins of a film's windows, as the server drew them when the run ended.

import { said } from './said.js'

const SVG = 'image/svg+xml'

/** The chart, hidden while there is none. */
export class Chart {
  constructor() {
    this.element = document.createElement('div')
    this.element.className = 'evertalk-chart'
    this.element.hidden = true
    this.shown = ''
    this.height = 0 // in pixels
  }

  /** Shows a run's chart, SVG; empty: none. */
  show(svg) {
    if (svg === this.shown) return
    this.shown = svg
    const picture = svg ? new DOMParser().parseFromString(svg, SVG).documentElement : null
    this.element.replaceChildren(...(picture ? [document.importNode(picture, true)] : []))
    this.element.hidden = picture === null
    this.height = Number(picture?.getAttribute('height') ?? 0)
    this.element.style.height = `${this.height}px`
    for (const one of this.element.querySelectorAll('title, text')) one.textContent = said(one.textContent)
    const drawn = this.element.firstElementChild
    drawn?.setAttribute('aria-label', drawn.querySelector('title').textContent)
  }
}
