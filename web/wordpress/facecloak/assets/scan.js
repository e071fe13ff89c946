/**
 * Keeps a scan of the library going while its page is open; cron does so otherwise.
 */
(function (wp) {
    'use strict';

    const { __ } = wp.i18n;
    const box = document.getElementById('facecloak-scan');
    if (!box) {
        return;
    }
    const [start, stop] = box.querySelectorAll('button');
    const progress = box.querySelector('progress');
    const status = box.querySelector('[role=status]');
    // Between two steps where the service does not answer: it is cron's turn then, too
    const PAUSE_MS = 15000;

    function ask(what) {
        return wp.apiFetch({ path: '/facecloak/v1/scan', method: 'POST', data: { do: what } });
    }

    function show(state) {
        const isRunning = state.state === 'running';
        box.dataset.state = state.state;
        progress.hidden = stop.disabled = !isRunning;
        start.disabled = isRunning;
        progress.max = Math.max(1, state.total);
        progress.value = state.done;
        status.textContent = state.words;
        return state;
    }

    function fail(error) {
        start.disabled = false;
        status.textContent = (error && error.message) || __('The site itself did not answer.', 'facecloak');
        wp.a11y.speak(status.textContent, 'assertive');
    }

    function goOn(state) {
        show(state);
        if (state.state === 'running') {
            window.setTimeout(function () {
                ask('step').then(goOn).catch(fail);
            }, state.problem ? PAUSE_MS : 0);
        } else {
            wp.a11y.speak(state.words);
            // What was found is written by the server
            window.location.reload();
        }
    }

    start.addEventListener('click', function () {
        start.disabled = true;
        ask('start').then(goOn).catch(fail);
    });
    stop.addEventListener('click', function () {
        ask('stop').then(show).catch(fail);
    });
    if (box.dataset.state === 'running') {
        ask('step').then(goOn).catch(fail);
    }
})(window.wp);
