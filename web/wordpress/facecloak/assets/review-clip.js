// The page for one clip: whom the service followed, what is decided about each, and the covered clip to watch.
((wp, fc) => {
    const { createElement: el, useEffect, useRef, useState } = wp.element;
    const { __, _n, sprintf } = wp.i18n;
    const POLL_MS = 2000;
    // What the second look saw is covered for half a second before and after, and a little around it
    const AROUND_S = 0.5;
    const AROUND = 0.25;

    function Picture({ id, name }) {
        const file = fc.useFile(fc.path(id, `/picture/${name}`));
        return file.url ? el('img', { src: file.url, alt: '' }) : null;
    }

    const span = (from, to) => sprintf(
        /* translators: 1: time code, 2: time code */
        __('%1$s to %2$s', 'facecloak'), from, to);

    // props: id, track, decision, isOff, onDecide(how), onShow()
    function Track({ id, track, decision, isOff, onDecide, onShow }) {
        const name = sprintf(
            /* translators: %d: number of a track: one face, followed through a clip */
            __('Track %d', 'facecloak'), track.number);
        const show = sprintf(
            /* translators: %s: "Track 1" */
            __('Show %s in the clip', 'facecloak'), name);
        return el('fieldset', { className: 'facecloak-row facecloak-track', 'data-track': track.number },
            el('legend', null, name),
            el('span', { className: 'facecloak-span' }, span(fc.time(track.from_s), fc.time(track.to_s))),
            el('button', { type: 'button', className: 'facecloak-sights', onClick: onShow, 'aria-label': show },
                track.pictures.map((picture) => el(Picture, { key: picture, id, name: picture }))),
            el(fc.Choice, {
                name: `track-${track.number}`, label: name, value: decision, options: ['hide', 'keep'],
                isOff: (how) => how === 'keep' && isOff, onChange: onDecide,
            }),
            track.risks.length > 0 && el('p', { className: 'facecloak-risk' }, track.risks.join('; ')));
    }

    // props: area, index, now (seconds), end, onChange(area), onRemove()
    function Times({ area, index, now, end, onChange, onRemove }) {
        const here = Math.round(10 * now) / 10;
        // What ends before it begins covers nothing, which nobody means
        const tidy = (from, to) => onChange({ ...area, from_s: from, to_s: to !== null && to <= from ? null : to });
        const seconds = (label, value, onSaid) => el('label', null, label, ' ', el('input', {
            type: 'number', min: 0, max: end, step: 0.1, value: value === null ? '' : value,
            placeholder: __('the end', 'facecloak'),
            onChange: ({ target }) => onSaid(target.value === '' ? null : Math.max(0, Number(target.value))),
        }));
        return el('fieldset', { className: 'facecloak-row facecloak-times' },
            el('legend', null, fc.areaName(index)),
            seconds(__('from second', 'facecloak'), area.from_s, (said) => tidy(said || 0, area.to_s)),
            seconds(__('to second', 'facecloak'), area.to_s, (said) => onChange({ ...area, to_s: said })),
            fc.button({ onClick: () => tidy(here, area.to_s) }, __('Starts at the picture', 'facecloak')),
            fc.button({ onClick: () => tidy(area.from_s < here ? area.from_s : 0, here || null) },
                __('Ends at the picture', 'facecloak')),
            fc.button({ onClick: onRemove }, __('Remove', 'facecloak')));
    }

    // The clip at a moment, with boxes, and areas to draw.
    // props: media, clip, choice, onDecide(track, how), onAreas(areas), here, setHere(index), end
    function Moments({ media, clip, choice, onDecide, onAreas, here, setHere, end }) {
        const [isDrawing, setDrawing] = useState(false);
        const [focus, setFocus] = useState(null);
        const draw = useRef();
        const moment = clip.moments[here];
        const picture = fc.useFile(fc.path(media.id, `/picture/${moment.picture}`));
        const risky = clip.moments.flatMap((one, index) => (one.why ? [index] : []));
        const clock = sprintf(
            /* translators: 1: time code, 2: time code of the end */
            __('%1$s of %2$s', 'facecloak'), fc.time(moment.seconds), fc.time(end));
        const alt = sprintf(
            /* translators: 1: time code, 2: number of faces */
            __('The clip at %1$s. Boxes show whom the service found: %2$d.', 'facecloak'),
            fc.time(moment.seconds), moment.boxes.length);
        const isShown = ({ from_s: from, to_s: to }) => from <= moment.seconds && (to === null || moment.seconds < to);
        const setAreas = (areas, isRemoved) => {
            setFocus(null);
            onAreas(areas);
            if (isRemoved) draw.current.focus();
        };
        const add = (area) => {
            onAreas([...choice.regions, area]);
            setFocus(choice.regions.length);
        };
        const turn = (track) => {
            if (!media.why_not_keep) onDecide(track, choice.tracks[track] === 'keep' ? 'hide' : 'keep');
        };

        return el('div', null,
            el(fc.Frame, {
                size: clip.size, src: picture.url, alt, tallest: '60vh', areas: choice.regions, onAreas: setAreas,
                isShown, isDrawing, focus, onDrawn: () => setDrawing(false),
            }, picture.url && moment.boxes.map(({ track, box }) => el(fc.Box, {
                key: track, box, size: clip.size, number: track, how: choice.tracks[track] || 'hide', isShort: true,
                onClick: () => turn(track),
            }))),
            el('div', { className: 'facecloak-bar' },
                el('input', {
                    type: 'range', className: 'facecloak-slider', min: 0, max: clip.moments.length - 1, step: 1,
                    value: here, 'aria-label': __('Time in the clip', 'facecloak'), 'aria-valuetext': clock,
                    onChange: ({ target }) => setHere(Number(target.value)),
                }),
                el('span', { className: 'facecloak-clock' }, clock)),
            el('p', { className: 'facecloak-risk', 'aria-live': 'polite' }, moment.why || ''),
            el('div', { className: 'facecloak-many' },
                risky.length > 0 && fc.button(
                    { onClick: () => setHere(risky.find((index) => index > here) ?? risky[0]) },
                    sprintf(
                        /* translators: %d: number of moments */
                        __('Look here first (%d)', 'facecloak'), risky.length)),
                el(fc.DrawButton, { ref: draw, size: clip.size, isDrawing, setDrawing, onAdd: add })),
            choice.regions.map((area, index) => el(Times, {
                key: index, area, index, end, now: moment.seconds,
                onChange: (one) => setAreas(choice.regions.map((was, i) => (i === index ? one : was))),
                onRemove: () => setAreas(choice.regions.filter((was, i) => i !== index), true),
            })));
    }

    function countWords(count) {
        if (count === 0) {
            return __('No face was found. That does not prove that there is none: look through the clip, and cover '
                + 'what you see.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of tracks */
            _n('%d track was followed: one face through one shot. It is hidden unless you keep it.',
                '%d tracks were followed, each one face through one shot; somebody who is seen twice has two. '
                + 'Everybody is hidden whom you do not keep.', count, 'facecloak'), count);
    }

    // props: media, clip (the document of /tracks), choice: {plan, tracks, regions, audio}, onChoice(choice)
    function Chooser({ media, clip, choice, onChoice }) {
        const [here, setHere] = useState(Math.max(0, clip.moments.findIndex((one) => one.why)));
        const count = clip.tracks.length;
        const times = [...clip.tracks.map((track) => track.to_s), ...clip.moments.map((one) => one.seconds)];
        const decide = (number, how) => onChoice({ ...choice, tracks: { ...choice.tracks, [number]: how } });
        const setAreas = (areas) => onChoice({
            ...choice, regions: areas.map((area) => ({ from_s: 0, to_s: null, ...area })),
        });
        const showNearest = (seconds) => {
            const gaps = clip.moments.map((one) => Math.abs(one.seconds - seconds));
            setHere(Math.max(0, gaps.indexOf(Math.min(...gaps))));
        };

        return el('div', { className: 'facecloak-columns' },
            clip.moments.length > 0 ? el(Moments, {
                media, clip, choice, onDecide: decide, onAreas: setAreas, here, setHere,
                end: clip.duration_s || Math.max(0.1, ...times),
            }) : el('div'),
            el('div', { className: 'facecloak-side' },
                el('p', null, countWords(count)),
                count > 0 && el('p', { className: 'description' }, media.why_not_keep
                    || __('Keep a track only where all its pictures show the same person: a track can pass from one to '
                        + 'another.', 'facecloak')),
                el('div', { className: 'facecloak-each' }, clip.tracks.map((track) => el(Track, {
                    key: track.number, id: media.id, track, decision: choice.tracks[track.number],
                    isOff: Boolean(media.why_not_keep), onDecide: (how) => decide(track.number, how),
                    onShow: () => showNearest(track.from_s),
                }))),
                el('p', null, el('label', null,
                    el('input', {
                        type: 'checkbox', checked: choice.audio === 'drop',
                        onChange: ({ target }) => onChoice({ ...choice, audio: target.checked ? 'drop' : 'keep' }),
                    }),
                    ' ', __('Remove the sound. Voices identify people too.', 'facecloak')))));
    }

    // props: src, found: [{from_s, from, to}], onCover(), null where nothing can be covered
    function Player({ src, found, onCover }) {
        const video = useRef();
        const show = (seconds) => {
            video.current.pause();
            video.current.currentTime = seconds;
            video.current.scrollIntoView({ block: 'nearest' });
        };
        return el('div', null,
            el('video', {
                ref: video, src, controls: true, preload: 'metadata', className: 'facecloak-video',
                'aria-label': __('The covered clip', 'facecloak'),
            }),
            found.length > 0 && el('div', { className: 'facecloak-found' },
                el('p', null, __('What may be an uncovered face was seen here:', 'facecloak')),
                el('ul', null, found.map((one, i) => el('li', { key: i },
                    fc.button({ onClick: () => show(one.from_s) }, span(one.from, one.to))))),
                onCover && fc.button({ onClick: onCover }, __('Cover these places too', 'facecloak'))));
    }

    const boxOf = ({ box: [x1, y1, x2, y2], from_s: from, to_s: to }, [wide, high]) => {
        const left = Math.max(0, Math.floor(x1 - AROUND * (x2 - x1)));
        const top = Math.max(0, Math.floor(y1 - AROUND * (y2 - y1)));
        return {
            x: left, y: top, width: Math.min(wide, Math.ceil(x2 + AROUND * (x2 - x1))) - left,
            height: Math.min(high, Math.ceil(y2 + AROUND * (y2 - y1))) - top,
            from_s: Math.max(0, from - AROUND_S), to_s: to + AROUND_S,
        };
    };

    function begin({ plan, tracks, decided }) {
        const all = {};
        for (const { number } of tracks) all[number] = decided.tracks[number] || 'hide';
        return { plan, tracks: all, regions: decided.regions, audio: decided.audio };
    }

    function Progress({ clip }) {
        return el('p', { role: 'status' },
            el(wp.components.Spinner),
            clip.stage === 'looking' ? __('The service looks for faces in every part of the clip.', 'facecloak')
                : __('The service covers the faces.', 'facecloak'),
            ' ', el('progress', { max: 1, value: clip.share, 'aria-label': __('Done so far', 'facecloak') }));
    }

    // props: media, onDone(media), onError(words), onLook(): have the service look at the clip again
    fc.Clip = function Clip({ media, onDone, onError, onLook }) {
        const [clip, setClip] = useState(null);
        const [choice, setChoice] = useState(null);
        const [handedIn, setHandedIn] = useState(null);
        const [isBusy, setBusy] = useState(false);
        const isWorking = clip && ['looking', 'working'].includes(clip.stage);
        const isKnown = Boolean(clip && clip.tracks && choice && choice.plan === clip.plan);
        const isSame = !choice || JSON.stringify(choice) === handedIn;
        const preview = clip && clip.stage === 'done' ? clip.preview : null;
        const result = !isSame || (clip && clip.stage === 'working') ? null : preview || { ...media, isAsIs: true };
        const src = !result || result.isAsIs ? media.now.url : fc.address(media.id, `/preview/${result.token}`);

        async function ask(asked) {
            try {
                const now = await wp.apiFetch(asked);
                setClip(now);
                if (now.stage === 'done') wp.a11y.speak(__('The covered clip is ready.', 'facecloak'));
                return true;
            } catch (error) {
                onError(await fc.wordsOf(error));
                return false;
            }
        }
        useEffect(() => {
            ask({ path: fc.path(media.id, '/tracks') });
        }, [media]);
        useEffect(() => {
            if (!isWorking) return undefined;
            const timer = setTimeout(() => ask({ path: fc.path(media.id, '/tracks') }), POLL_MS);
            return () => clearTimeout(timer);
        }, [clip]);
        useEffect(() => {
            // In another plan the same number may be somebody else
            if (clip && clip.tracks && (!choice || choice.plan !== clip.plan)) {
                setChoice(begin(clip));
                setHandedIn(JSON.stringify(begin(clip)));
            }
        }, [clip]);

        async function cover() {
            setBusy(true);
            onError(null);
            if (await ask({ path: fc.path(media.id, '/decisions'), method: 'PUT', data: choice })) {
                setHandedIn(JSON.stringify(choice));
            }
            setBusy(false);
        }

        async function approve(reason) {
            setBusy(true);
            onError(null);
            const what = preview ? { token: preview.token } : { as_is: true, shown: media.now.sha256 };
            const data = { ...what, reason };
            try {
                onDone(await wp.apiFetch({ path: fc.path(media.id, '/approve'), method: 'POST', data }));
            } catch (error) {
                onError(await fc.wordsOf(error));
                setBusy(false);
            }
        }

        const coverFound = () => setChoice({
            ...choice, regions: [...choice.regions, ...result.found_again.map((one) => boxOf(one, clip.size))],
        });
        const isOver = clip && ['gone', 'failed'].includes(clip.stage);

        return el(wp.element.Fragment, null,
            el('section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-who' },
                el('h2', { id: 'facecloak-who' }, __('Who can be seen', 'facecloak')),
                !clip && el(wp.components.Spinner),
                clip && clip.words && !isWorking && el('p', { className: 'facecloak-box facecloak-look' }, clip.words),
                isOver && media.has_original && fc.button({ onClick: onLook },
                    __('Look at the clip again', 'facecloak')),
                isKnown && el(Chooser, { key: clip.plan, media, clip, choice, onChoice: setChoice }),
                isWorking && el(Progress, { clip }),
                isKnown && el('p', null, fc.button({
                    className: 'button button-large' + (isSame ? '' : ' button-primary'), disabled: isBusy || isWorking,
                    onClick: cover,
                }, __('Make the covered clip', 'facecloak')))),
            el('section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-result' },
                el('h2', { id: 'facecloak-result' }, __('What readers will see', 'facecloak')),
                !result && el('p', { className: 'facecloak-box facecloak-note' }, isWorking
                    ? __('The covered clip is being made. It can be approved when you have watched it.', 'facecloak')
                    : __('The decisions were changed. Make the covered clip and watch it before you approve it.',
                        'facecloak')),
                result && el('div', { className: 'facecloak-columns' },
                    el(Player, { key: src, src, found: result.found_again, onCover: isKnown ? coverFound : null }),
                    el('div', { className: 'facecloak-side' },
                        el(fc.Verdict, { verdict: result.verdict }),
                        !(result.isAsIs && media.state === 'reviewed') && el(fc.Approve, {
                            key: result.token || 'as-is', media, result, isBusy, onApprove: approve,
                            mustWatch: __('I have watched the whole covered clip.', 'facecloak'),
                        })))));
    };
})(window.wp, window.facecloakReview);
