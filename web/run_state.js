// What is known of a node's run, from the server's events alone: no page, no graph.

let changes = 0

/** The state of a run: `idle`, `running`, `paused`, `failed`, `done`. */
export class RunState {
  constructor() {
    this.changed = 0 // grows with every event, over all runs: which one is newer
    this.warnings = []
    this.warnedIn = null // the prompt that the warnings are of
    this.forget()
  }

  forget() {
    this.phase = 'idle'
    this.promptId = null
    this.node = null // the server's id of the sampler
    this.windows = [] // { state, path, start, text }
    this.current = 0
    this.step = 0
    this.steps = 0
    this.secondsLeft = null
    this.failure = ''
    this.video = null // the whole video, or what there is of it
    this.newest = null // index of the window that was finished last
    this.seed = null
    this.chart = '' // the figures of the finished windows, as SVG
  }

  get finished() {
    return this.windows.filter((window) => window.state === 'done').length
  }

  /** Takes an event in. A page that was opened during the run knows it from the next event on. */
  apply(event) {
    changes += 1
    this.changed = changes
    this.keepWarningsOf(event.prompt_id)
    if (event.kind === 'warning') {
      if (!this.warnings.includes(event.text)) this.warnings.push(event.text)
      return
    }
    if (event.prompt_id !== this.promptId || (event.windows && event.windows !== this.windows.length)) {
      this.begin(event)
    }
    this[`on_${event.kind}`]?.(event)
  }

  /** Warnings of the same prompt stay: some are said before its windows are planned. */
  keepWarningsOf(promptId) {
    if (promptId !== this.warnedIn) this.warnings = []
    this.warnedIn = promptId
  }

  begin(event) {
    this.forget()
    this.promptId = event.prompt_id
    this.node = event.node == null ? null : String(event.node)
    this.phase = 'running'
    const count = event.windows ?? 0
    this.windows = Array.from({ length: count }, () => ({ state: 'queued', path: null, start: null, text: '' }))
    this.finishUpTo(event.window ?? 0)
  }

  on_plan(event) {
    this.phase = 'running'
    this.steps = event.steps
    this.seed = event.seed
    this.finishUpTo(event.window)
    this.run(event.window, 0)
  }

  on_step(event) {
    this.phase = 'running'
    this.steps = event.steps
    this.seed = event.seed ?? this.seed
    this.secondsLeft = event.seconds_left
    this.run(event.window, event.step)
  }

  on_window(event) {
    const { path, start_s: start, text } = event
    this.windows[event.window] = { state: 'done', path, start, text }
    if (path) this.newest = event.window
  }

  on_done(event) {
    this.phase = 'done'
    this.secondsLeft = null
    this.finishUpTo(this.windows.length)
    this.video = event.path
    this.chart = event.chart ?? ''
  }

  on_paused(event) {
    this.end('paused')
    this.video = event.path
    this.chart = event.chart ?? ''
  }

  on_failed(event) {
    // A window that is done was not the one: the run ended before the next one's first step.
    if (this.windows[this.current]?.state === 'done' && this.current + 1 < this.windows.length) this.current += 1
    const running = this.windows[this.current]
    this.end('failed')
    this.failure = event.text
    this.video = event.path
    this.chart = event.chart ?? ''
    if (running && running.state === 'queued') running.state = 'failed'
  }

  /** The run ended before its last window. */
  end(phase) {
    this.phase = phase
    this.secondsLeft = null
    for (const one of this.windows) if (one.state === 'running') one.state = 'queued'
  }

  run(index, step) {
    this.current = index
    this.step = step
    if (this.windows[index]?.state === 'queued') this.windows[index].state = 'running'
  }

  finishUpTo(count) {
    for (const one of this.windows.slice(0, count)) one.state = 'done'
  }

  /** What to play for a window: its own part, or its place in the whole video; null if neither is there. */
  playable(index) {
    const window = this.windows[index]
    if (this.phase === 'done' && this.video) return { path: this.video, start: window?.start ?? 0 }
    return window?.path ? { path: window.path, start: 0 } : null
  }
}
