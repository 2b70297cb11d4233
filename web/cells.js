// The row of cells of a strip: one a window, or, of a film of hours, one for several windows that follow each other.

import { stateWord, text } from './texts.js'

/** Cells of a row at most; more would be narrower than what a hand can hit, and slow to lay out. */
export const MOST_CELLS = 150

const STEPS = { ArrowLeft: -1, ArrowRight: 1 }

/** How many windows a cell stands for. */
export function windowsPerCell(count) {
  return Math.max(1, Math.ceil(count / MOST_CELLS))
}

/** The state that a cell shows for its windows: what is wrong or going on in one of them, or what all of them are. */
export function stateOfCell(windows) {
  const states = new Set(windows.map((window) => window.state))
  return ['failed', 'running', 'queued'].find((state) => states.has(state)) ?? 'done'
}

/** The row. `choose` is called with the index of a finished window, or null, when the user asks for it. */
export class CellRow {
  constructor(choose) {
    this.choose = choose
    this.element = document.createElement('div')
    this.element.className = 'evertalk-cells'
    this.element.addEventListener('keydown', (event) => this.step(event))
    this.shown = [] // what each cell says: only what has changed is touched
    this.windows = []
    this.chosen = null
  }

  /** Brings the row in line with a run's state. */
  show(state, chosen) {
    this.windows = state.windows
    this.chosen = chosen
    this.each = windowsPerCell(state.windows.length)
    const count = Math.ceil(state.windows.length / this.each)
    while (this.element.childElementCount > count) this.element.lastChild.remove()
    while (this.element.childElementCount < count) this.element.append(this.newCell())
    this.shown.length = count
    for (let index = 0; index < count; index += 1) this.showCell(index, state)
  }

  showCell(index, state) {
    const first = index * this.each
    const windows = this.windows.slice(first, first + this.each)
    const isChosen = this.chosen !== null && Math.floor(this.chosen / this.each) === index
    const said = {
      state: stateOfCell(windows),
      title: this.titleOf(first, windows, isChosen),
      pressed: String(isChosen),
      part: this.partOf(first, windows, state),
    }
    if (Object.entries(said).every(([name, value]) => this.shown[index]?.[name] === value)) return
    this.shown[index] = said
    const cell = this.element.children[index]
    cell.dataset.state = said.state
    cell.title = said.title
    cell.setAttribute('aria-label', said.title)
    cell.setAttribute('aria-pressed', said.pressed)
    cell.style.setProperty('--evertalk-part', said.part)
  }

  titleOf(first, windows, isChosen) {
    if (this.each === 1) return nameOf(first, windows[0])
    const done = windows.filter((window) => window.state === 'done').length
    const all = text('cells', { first: first + 1, last: first + windows.length, done })
    return isChosen ? `${all}; ${nameOf(this.chosen, this.windows[this.chosen])}` : all
  }

  // Of several windows the share that is done, of one the share of its steps.
  partOf(first, windows, { current, step, steps }) {
    if (current < first || current >= first + windows.length || !steps) return '0%'
    return `${Math.round((100 * (current - first + step / steps)) / windows.length)}%`
  }

  newCell() {
    const index = this.element.childElementCount
    const cell = document.createElement('button')
    cell.type = 'button'
    cell.className = 'evertalk-cell'
    cell.addEventListener('click', () => {
      const isChosen = this.chosen !== null && Math.floor(this.chosen / this.each) === index
      cell.focus() // not every browser does, and the arrow keys go on from here
      this.choose(isChosen ? null : this.lastDone(index))
    })
    return cell
  }

  /** The last finished window of a cell, or null. */
  lastDone(index) {
    const first = index * this.each
    const place = this.windows.slice(first, first + this.each).findLastIndex((window) => window.state === 'done')
    return place < 0 ? null : first + place
  }

  /** With a window chosen, the arrow keys choose the finished one beside it. */
  step(event) {
    const by = STEPS[event.key]
    if (!by || this.chosen === null) return
    event.preventDefault()
    event.stopPropagation()
    const next = this.chosen + by
    if (this.windows[next]?.state !== 'done') return
    this.choose(next)
    this.element.children[Math.floor(next / this.each)]?.focus()
  }
}

function nameOf(index, window) {
  const name = text('cell', { window: index + 1, state: stateWord(window.state) })
  return window.text ? `${name}, ${window.text}` : name
}
