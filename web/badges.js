// Warnings as badges on a node: a short text each, the whole sentence as its tooltip.

const LONGEST = 44 // Latin letters; a Chinese one is as wide as two
const WIDE = /[\u2e80-\u9fff\uff00-\uffef]/

/** The beginning of a sentence; a Latin word is not cut, Chinese is between any two letters. */
function shortened(sentence) {
  let [width, end] = [0, 0]
  for (const letter of sentence) {
    width += WIDE.test(letter) ? 2 : 1
    if (width > LONGEST) break
    end += letter.length
  }
  if (end === sentence.length) return sentence
  const start = sentence.slice(0, end)
  return `${start.replace(/\s*[!-~]*$/, '') || start}…`
}

/** A row of badges. */
export class BadgeRow {
  constructor() {
    this.element = document.createElement('div')
    this.element.className = 'evertalk-badges'
    this.sentences = new Set()
  }

  get count() {
    return this.sentences.size
  }

  /** Shows these sentences and no others. */
  show(sentences) {
    if (sentences.length < this.count) this.clear()
    for (const sentence of sentences) this.add(sentence)
  }

  /** Adds a badge, unless it is there. */
  add(sentence) {
    if (this.sentences.has(sentence)) return
    this.sentences.add(sentence)
    const badge = document.createElement('span')
    badge.className = 'evertalk-badge'
    badge.textContent = `⚠ ${shortened(sentence)}`
    badge.title = sentence
    this.element.append(badge)
  }

  clear() {
    this.sentences.clear()
    this.element.replaceChildren()
  }
}

const ROW_PX = 20

/** Room around a row or strip; the editor takes it from the height that a widget asks for. */
export const MARGIN_PX = 6
const rows = new WeakMap() // node -> the row of a node that has no strip

/** Adds a badge to any node; the row appears with the first one. */
export function addBadge(node, sentence) {
  let row = rows.get(node)
  if (row?.sentences.has(sentence)) return
  if (!row) {
    row = new BadgeRow()
    rows.set(node, row)
    const widget = node.addDOMWidget('evertalk_badges', 'evertalk_badges', row.element, {
      serialize: false,
      hideOnZoom: false,
      margin: MARGIN_PX,
      getMinHeight: () => row.count * ROW_PX + 2 * MARGIN_PX,
      getMaxHeight: () => row.count * ROW_PX + 2 * MARGIN_PX,
    })
    widget.serialize = false
  }
  row.add(sentence)
  growToFit(node)
}

/** Removes a node's badges. */
export function clearBadges(node) {
  rows.get(node)?.clear()
  node.setDirtyCanvas?.(true, true)
}

/** Makes a node as high as its widgets need; one that the user made higher stays so. */
export function growToFit(node) {
  const [width, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
  node.setDirtyCanvas?.(true, true)
}
