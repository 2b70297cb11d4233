// The strip of a sampler: what will run, its windows as cells, the newest window as a picture, buttons.

import { api } from '../../scripts/api.js'
import { canReroll, pauseRun, queueAgain, reroll, stopRun } from './actions.js'
import { BadgeRow } from './badges.js'
import { CellRow } from './cells.js'
import { Chart } from './chart.js'
import { RunState } from './run_state.js'
import { text } from './texts.js'

const HEIGHTS_PX = { line: 16, cells: 14, buttons: 20, badge: 20, video: 160 }
const GAP_PX = 4

function element(tag, className) {
  const made = document.createElement(tag)
  if (className) made.className = className
  return made
}

function button(run) {
  const made = element('button')
  made.type = 'button'
  made.addEventListener('click', run)
  return made
}

/**
 * Address of a file that the server shows; `start` is where to begin, in seconds. By the mark `evertalk` the server
 * knows that the file may have been removed by now, and answers with nothing then, not with an error.
 */
function viewAddress({ path, start }) {
  const { filename, subfolder, type } = path
  const query = new URLSearchParams({ filename, subfolder, type, evertalk: 1 })
  return api.apiURL(`/view?${query}`) + (start ? `#t=${start}` : '')
}

/**
 * The strip of one sampler: on its node, or on a subgraph node around it.
 *
 * `placeOf` gives the sampler's place for the run that is shown, `resized` is called when its height may have changed.
 */
export class WindowStrip {
  constructor(placeOf, resized) {
    this.placeOf = placeOf
    this.resized = resized
    this.state = new RunState()
    this.chosen = null // index of the window that the user chose to look at
    this.isPausing = false
    this.promptId = null // of the run that is shown
    this.shownChange = 0 // which change of it
    this.told = { line: '', isProblem: false } // what would run
    this.gap = '' // why nothing can
    this.build()
    this.show()
  }

  build() {
    this.element = element('div', 'evertalk-strip')
    this.title = element('div', 'evertalk-line evertalk-title')
    this.title.hidden = true
    this.estimate = element('div', 'evertalk-line evertalk-estimate')
    this.badges = new BadgeRow()
    this.cells = new CellRow((window) => {
      this.chosen = window
      this.show()
    })
    this.status = element('div', 'evertalk-line evertalk-status')
    this.buttons = element('div', 'evertalk-buttons')
    this.pause = button(() => this.askPause())
    this.stop = button(() => stopRun(this.state.promptId))
    this.resume = button(() => queueAgain(this.place, this.state))
    this.reroll = button(() => reroll(this.place, this.chosen + 1, this.state))
    this.buttons.append(this.pause, this.stop, this.resume, this.reroll)
    this.video = element('video', 'evertalk-video')
    Object.assign(this.video, { muted: true, loop: true, autoplay: true, playsInline: true })
    this.video.addEventListener('error', () => this.hideVideo())
    this.chart = new Chart()
    this.element.append(this.title, this.estimate, this.badges.element, this.cells.element, this.status)
    this.element.append(this.buttons, this.chart.element, this.video)
  }

  /** The sampler with the subgraph nodes around it: those of the run that is shown. */
  get place() {
    return this.placeOf(this.state.node)
  }

  /** How high the strip is now. */
  get height() {
    const rows = this.title.hidden ? [HEIGHTS_PX.line] : [HEIGHTS_PX.line, HEIGHTS_PX.line]
    if (this.badges.count) rows.push(this.badges.count * HEIGHTS_PX.badge)
    if (this.state.phase !== 'idle') rows.push(HEIGHTS_PX.cells, HEIGHTS_PX.line)
    if (!this.buttons.hidden) rows.push(HEIGHTS_PX.buttons)
    if (!this.chart.element.hidden) rows.push(this.chart.height)
    if (!this.video.hidden) rows.push(HEIGHTS_PX.video)
    return rows.reduce((sum, row) => sum + row, 0) + GAP_PX * (rows.length - 1)
  }

  /** Says whose strip it is, where there are several; empty: does not. */
  name(title) {
    this.title.hidden = !title
    this.title.textContent = this.title.title = title
  }

  /** Shows what would run, or which settings contradict. */
  showEstimate(line, isProblem) {
    this.told = { line, isProblem }
    this.showTold()
  }

  /** Shows which socket gets no value, in place of what would run; empty: none. */
  showGap(gap) {
    if (gap === this.gap) return
    this.gap = gap
    this.showTold()
  }

  showTold() {
    const { line, isProblem } = this.gap ? { line: this.gap, isProblem: true } : this.told
    this.estimate.textContent = line
    this.estimate.title = line
    this.estimate.classList.toggle('evertalk-problem', isProblem)
  }

  /** Shows a run as it is now. */
  follow(run) {
    if (this.shownChange === run.changed) return
    this.shownChange = run.changed
    if (this.promptId !== run.promptId) {
      this.promptId = run.promptId
      this.chosen = null
      this.isPausing = false
    }
    this.state = run
    this.show()
  }

  /** Brings the page in line with the state. */
  show() {
    const isIdle = this.state.phase === 'idle'
    this.cells.element.hidden = this.status.hidden = isIdle
    this.badges.show(this.state.warnings)
    this.cells.show(this.state, this.chosen)
    this.status.textContent = this.statusText()
    this.status.title = this.state.failure || this.status.textContent
    this.showButtons()
    this.chart.show(this.state.chart)
    this.showVideo()
    this.resized()
  }

  statusText() {
    const { phase, windows, current, step, steps, secondsLeft, finished } = this.state
    const values = { window: current + 1, windows: windows.length, step, steps, done: finished }
    if (phase === 'idle') return ''
    if (phase !== 'running') return text(phase, values)
    const line = text(step ? 'running' : 'starting', values)
    return secondsLeft == null ? line : text('left', { text: line, seconds: Math.round(secondsLeft) })
  }

  showButtons() {
    const { phase } = this.state
    this.label(this.pause, phase === 'running', text(this.isPausing ? 'pausing' : 'pause'), text('pauseTip'))
    this.pause.disabled = this.isPausing
    this.label(this.stop, phase === 'running', text('stop'), text('stopTip'))
    this.label(this.resume, phase === 'paused' || phase === 'failed', text('resume'), text('resumeTip'))
    const window = { window: this.chosen + 1 }
    const canMake = this.chosen !== null && phase !== 'running' && canReroll(this.place.node)
    this.label(this.reroll, canMake, text('reroll', window), text('rerollTip'))
    this.buttons.hidden = [...this.buttons.children].every((one) => one.hidden)
  }

  label(target, isShown, words, tip) {
    target.hidden = !isShown
    target.textContent = words
    target.title = tip
  }

  async askPause() {
    this.isPausing = true
    this.show()
    if (await pauseRun(this.state.promptId)) return
    this.isPausing = false
    this.show()
    this.pause.disabled = true
    this.pause.title = text('noPause')
  }

  // Not every browser plays every form, and a window's own part is gone once the whole video is finished.
  hideVideo() {
    this.video.hidden = true
    this.resized()
  }

  showVideo() {
    const index = this.chosen ?? this.state.newest
    const whole = this.state.video ? { path: this.state.video, start: 0 } : null
    const isOver = this.state.phase !== 'running' && this.chosen === null
    const playable = (isOver ? whole : null) ?? (index === null ? null : this.state.playable(index)) ?? whole
    const address = playable ? viewAddress(playable) : ''
    if (this.video.dataset.address === address) return
    this.video.hidden = playable === null
    this.video.dataset.address = address
    if (address) this.video.src = address
    else this.video.removeAttribute('src')
  }
}
