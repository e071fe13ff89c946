// The page for one clip: whom the service followed, what is decided about each, and the covered clip to watch.
( ( wp, fc ) => {
	const { createElement: el, useEffect, useRef, useState } = wp.element;
	const { __, _n, sprintf } = wp.i18n;
	const POLL_MS = 2000;

	function Picture( { id, name, className } ) {
		const file = fc.useFile( fc.path( id, `/picture/${ name }` ) );
		return file.url ? el( 'img', { src: file.url, alt: '', className } ) : null;
	}

	// props: id, track, decision, isOff, onDecide( how ), onShow()
	function Track( { id, track, decision, isOff, onDecide, onShow } ) {
		const name = sprintf(
			/* translators: %d: number of a track: one face, followed through a clip */
			__( 'Track %d', 'facecloak' ), track.number );
		return el( 'fieldset', { className: 'facecloak-row facecloak-track', 'data-track': track.number },
			el( 'legend', null, name ),
			el( 'span', { className: 'facecloak-span' }, sprintf(
				/* translators: 1: time code, 2: time code */
				__( '%1$s to %2$s', 'facecloak' ), fc.time( track.from_s ), fc.time( track.to_s ) ) ),
			el( 'button', { type: 'button', className: 'facecloak-sights', onClick: onShow, 'aria-label': sprintf(
				/* translators: %s: "Track 1" */
				__( 'Show %s in the clip', 'facecloak' ), name ) },
			track.pictures.map( ( picture ) => el( Picture, { key: picture, id, name: picture } ) ) ),
			el( fc.Choice, { name: `track-${ track.number }`, label: name, value: decision, options: [ 'hide', 'keep' ],
				isOff: ( how ) => how === 'keep' && isOff, onChange: onDecide } ),
			track.risks.length > 0 && el( 'p', { className: 'facecloak-risk' }, track.risks.join( '; ' ) ) );
	}

	// props: area, index, now, end, onChange( area ), onRemove()
	function Times( { area, index, now, end, onChange, onRemove } ) {
		const tidy = ( from, to ) => onChange( { ...area, from_s: from, to_s: to !== null && to <= from ? null : to } );
		const seconds = ( label, value, onSaid ) => el( 'label', null, label, ' ', el( 'input', {
			type: 'number', min: 0, max: end, step: 0.1, value: value === null ? '' : value, placeholder: __( 'the end', 'facecloak' ),
			onChange: ( event ) => onSaid( event.target.value === '' ? null : Math.max( 0, Number( event.target.value ) ) ) } ) );
		const here = Math.round( 10 * now ) / 10;
		return el( 'fieldset', { className: 'facecloak-row facecloak-times' },
			el( 'legend', null, fc.areaName( index ) ),
			seconds( __( 'from second', 'facecloak' ), area.from_s, ( said ) => tidy( said || 0, area.to_s ) ),
			seconds( __( 'to second', 'facecloak' ), area.to_s, ( said ) => onChange( { ...area, to_s: said } ) ),
			el( 'button', { type: 'button', className: 'button', onClick: () => tidy( here, area.to_s ) },
				__( 'Starts at the picture', 'facecloak' ) ),
			el( 'button', { type: 'button', className: 'button', onClick: () => tidy( area.from_s < here ? area.from_s : 0, here || null ) },
				__( 'Ends at the picture', 'facecloak' ) ),
			el( 'button', { type: 'button', className: 'button', onClick: onRemove }, __( 'Remove', 'facecloak' ) ) );
	}

	// props: media, clip (the document of /tracks), choice: { tracks, regions, audio }, onChoice( choice )
	function Chooser( { media, clip, choice, onChoice } ) {
		const risky = clip.moments.flatMap( ( moment, index ) => ( moment.why ? [ index ] : [] ) );
		const [ here, setHere ] = useState( risky.length ? risky[ 0 ] : 0 );
		const [ isDrawing, setDrawing ] = useState( false );
		const [ focus, setFocus ] = useState( null );
		const draw = useRef();
		const moment = clip.moments[ here ] || null;
		const picture = fc.useFile( moment && fc.path( media.id, `/picture/${ moment.picture }` ) );
		const end = clip.duration_s || Math.max( 0.1, ...clip.tracks.map( ( track ) => track.to_s ), ...clip.moments.map( ( one ) => one.seconds ) );
		const clock = moment && sprintf(
			/* translators: 1: time code, 2: time code of the end */
			__( '%1$s of %2$s', 'facecloak' ), fc.time( moment.seconds ), fc.time( end ) );
		const decide = ( number, how ) => onChoice( { ...choice, tracks: { ...choice.tracks, [ number ]: how } } );
		const setAreas = ( regions, isRemoved ) => {
			setFocus( null );
			onChoice( { ...choice, regions: regions.map( ( area ) => ( { from_s: 0, to_s: null, ...area } ) ) } );
			if ( isRemoved ) draw.current.focus();
		};
		const showNearest = ( seconds ) => {
			const gaps = clip.moments.map( ( one ) => Math.abs( one.seconds - seconds ) );
			setHere( Math.max( 0, gaps.indexOf( Math.min( ...gaps ) ) ) );
		};
		const isShown = ( area ) => moment && area.from_s <= moment.seconds && ( area.to_s === null || moment.seconds < area.to_s );
		const count = clip.tracks.length;

		return el( 'div', { className: 'facecloak-columns' },
			el( 'div', null,
				moment && el( fc.Frame, { size: clip.size, src: picture.url, tallest: '60vh', areas: choice.regions, onAreas: setAreas, isShown,
					isDrawing, focus, onDrawn: () => setDrawing( false ), alt: sprintf(
						/* translators: 1: time code, 2: number of faces */
						__( 'The clip at %1$s. Boxes show whom the service found: %2$d.', 'facecloak' ), fc.time( moment.seconds ), moment.boxes.length ) },
				picture.url && moment.boxes.map( ( { track, box } ) => el( fc.Box, { key: track, box, size: clip.size, number: track,
					how: choice.tracks[ track ] || 'hide', isShort: true, onClick: () => {
						if ( ! media.why_not_keep ) decide( track, choice.tracks[ track ] === 'keep' ? 'hide' : 'keep' );
					} } ) ) ),
				moment && el( 'div', { className: 'facecloak-bar' },
					el( 'input', { type: 'range', className: 'facecloak-slider', min: 0, max: clip.moments.length - 1, step: 1, value: here,
						'aria-label': __( 'Time in the clip', 'facecloak' ), 'aria-valuetext': clock,
						onChange: ( event ) => setHere( Number( event.target.value ) ) } ),
					el( 'span', { className: 'facecloak-clock' }, clock ) ),
				el( 'p', { className: 'facecloak-risk', 'aria-live': 'polite' }, ( moment && moment.why ) || '' ),
				el( 'div', { className: 'facecloak-many' },
					risky.length > 0 && el( 'button', { type: 'button', className: 'button',
						onClick: () => setHere( risky.find( ( index ) => index > here ) ?? risky[ 0 ] ) }, sprintf(
						/* translators: %d: number of moments */
						__( 'Look here first (%d)', 'facecloak' ), risky.length ) ),
					moment && el( fc.DrawButton, { ref: draw, size: clip.size, isDrawing, setDrawing,
						onAdd: ( area ) => { setAreas( [ ...choice.regions, area ] ); setFocus( choice.regions.length ); } } ) ),
				choice.regions.map( ( area, index ) => el( Times, { key: index, area, index, end, now: moment ? moment.seconds : 0,
					onChange: ( one ) => setAreas( choice.regions.map( ( was, i ) => ( i === index ? one : was ) ) ),
					onRemove: () => setAreas( choice.regions.filter( ( was, i ) => i !== index ), true ) } ) ) ),
			el( 'div', { className: 'facecloak-side' },
				el( 'p', null, count === 0
					? __( 'No face was found. That does not prove that there is none: look through the clip, and cover what you see.', 'facecloak' )
					: sprintf(
						/* translators: %d: number of tracks */
						_n( '%d track was followed: one face through one shot. It is hidden unless you keep it.',
							'%d tracks were followed, each one face through one shot; somebody who is seen twice has two. Everybody is hidden whom you do not keep.',
							count, 'facecloak' ), count ) ),
				count > 0 && el( 'p', { className: 'description' }, media.why_not_keep ||
					__( 'Keep a track only where all its pictures show the same person: a track can pass from one to another.', 'facecloak' ) ),
				el( 'div', { className: 'facecloak-each' }, clip.tracks.map( ( track ) => el( Track, {
					key: track.number, id: media.id, track, decision: choice.tracks[ track.number ], isOff: Boolean( media.why_not_keep ),
					onDecide: ( how ) => decide( track.number, how ), onShow: () => showNearest( track.from_s ) } ) ) ),
				el( 'p', null, el( 'label', null,
					el( 'input', { type: 'checkbox', checked: choice.audio === 'drop',
						onChange: ( event ) => onChoice( { ...choice, audio: event.target.checked ? 'drop' : 'keep' } ) } ),
					' ', __( 'Remove the sound. Voices identify people too.', 'facecloak' ) ) ) ) );
	}

	// props: src, mime, found: [ { from_s, from, to } ]
	function Player( { src, found } ) {
		const video = useRef();
		const show = ( seconds ) => {
			video.current.pause();
			video.current.currentTime = seconds;
			video.current.scrollIntoView( { block: 'nearest' } );
		};
		return el( 'div', null,
			el( 'video', { ref: video, src, controls: true, preload: 'metadata', className: 'facecloak-video',
				'aria-label': __( 'The covered clip', 'facecloak' ) } ),
			found.length > 0 && el( 'div', { className: 'facecloak-found' },
				el( 'p', null, __( 'What may be an uncovered face was seen here:', 'facecloak' ) ),
				el( 'ul', null, found.map( ( one, i ) => el( 'li', { key: i }, el( 'button', {
					type: 'button', className: 'button', onClick: () => show( one.from_s ) }, sprintf(
					/* translators: 1: time code, 2: time code */
					__( '%1$s to %2$s', 'facecloak' ), one.from, one.to ) ) ) ) ) ) );
	}

	function begin( media, clip ) {
		const known = media.choices || {};
		const tracks = {};
		for ( const { number } of clip.tracks ) tracks[ number ] = ( known.tracks || {} )[ number ] || 'hide';
		return { tracks, regions: known.regions || [], audio: known.audio || 'keep' };
	}

	// props: media, onDone( media ), onError( words ), onLook(): have the service look at the clip again
	fc.Clip = function Clip( { media, onDone, onError, onLook } ) {
		const [ clip, setClip ] = useState( null );
		const [ choice, setChoice ] = useState( null );
		const [ handedIn, setHandedIn ] = useState( null );
		const [ isBusy, setBusy ] = useState( false );
		const isWorking = clip && [ 'looking', 'working' ].includes( clip.stage );

		async function ask( asked ) {
			try {
				const now = await wp.apiFetch( asked );
				setClip( now );
				if ( now.stage === 'done' ) wp.a11y.speak( __( 'The covered clip is ready.', 'facecloak' ) );
				return true;
			} catch ( error ) {
				onError( await fc.wordsOf( error ) );
				return false;
			}
		}
		useEffect( () => {
			ask( { path: fc.path( media.id, '/tracks' ) } );
		}, [ media ] );
		useEffect( () => {
			if ( ! isWorking ) return undefined;
			const timer = setTimeout( () => ask( { path: fc.path( media.id, '/tracks' ) } ), POLL_MS );
			return () => clearTimeout( timer );
		}, [ clip ] );
		useEffect( () => {
			if ( clip && clip.tracks && ! choice ) {
				const first = begin( clip.preview ? { choices: clip.preview.choices } : media, clip );
				setChoice( first );
				setHandedIn( JSON.stringify( first ) );
			}
		}, [ clip ] );

		async function cover() {
			setBusy( true );
			onError( null );
			if ( await ask( { path: fc.path( media.id, '/decisions' ), method: 'PUT', data: choice } ) ) {
				setHandedIn( JSON.stringify( choice ) );
			}
			setBusy( false );
		}

		async function approve( reason ) {
			setBusy( true );
			onError( null );
			const what = preview ? { token: preview.token } : { as_is: true, shown: media.now.sha256 };
			try {
				onDone( await wp.apiFetch( { path: fc.path( media.id, '/approve' ), method: 'POST', data: { ...what, reason } } ) );
			} catch ( error ) {
				onError( await fc.wordsOf( error ) );
				setBusy( false );
			}
		}

		const isSame = ! choice || JSON.stringify( choice ) === handedIn;
		const preview = clip && clip.stage === 'done' ? clip.preview : null;
		const result = ! isSame || ( clip && clip.stage === 'working' ) ? null : preview || { ...media, isAsIs: true };
		const src = ! result || result.isAsIs ? media.now.url : fc.address( media.id, `/preview/${ result.token }` );

		return el( wp.element.Fragment, null,
			el( 'section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-who' },
				el( 'h2', { id: 'facecloak-who' }, __( 'Who can be seen', 'facecloak' ) ),
				! clip && el( wp.components.Spinner ),
				clip && clip.words && clip.stage !== 'looking' && clip.stage !== 'working' &&
					el( 'p', { className: 'facecloak-box facecloak-look' }, clip.words ),
				clip && [ 'gone', 'failed' ].includes( clip.stage ) && media.has_original &&
					el( 'button', { type: 'button', className: 'button', onClick: onLook }, __( 'Look at the clip again', 'facecloak' ) ),
				clip && clip.tracks && choice && el( Chooser, { media, clip, choice, onChoice: setChoice } ),
				isWorking && el( 'p', { role: 'status' },
					el( wp.components.Spinner ), clip.stage === 'looking' ? __( 'The service looks for faces in every part of the clip.', 'facecloak' )
						: __( 'The service covers the faces.', 'facecloak' ),
					' ', el( 'progress', { max: 1, value: clip.share, 'aria-label': __( 'Done so far', 'facecloak' ) } ) ),
				clip && clip.tracks && choice && el( 'p', null, el( 'button', {
					type: 'button', className: 'button button-large' + ( isSame ? '' : ' button-primary' ), disabled: isBusy || isWorking, onClick: cover,
				}, __( 'Make the covered clip', 'facecloak' ) ) ) ),
			el( 'section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-result' },
				el( 'h2', { id: 'facecloak-result' }, __( 'What readers will see', 'facecloak' ) ),
				! result && ! isWorking && el( 'p', { className: 'facecloak-box facecloak-note' },
					__( 'The decisions were changed. Make the covered clip and watch it before you approve it.', 'facecloak' ) ),
				! result && isWorking && el( 'p', { className: 'facecloak-box facecloak-note' },
					__( 'The covered clip is being made. It can be approved when you have watched it.', 'facecloak' ) ),
				result && el( 'div', { className: 'facecloak-columns' },
					el( Player, { key: src, src, found: result.found_again } ),
					el( 'div', { className: 'facecloak-side' },
						el( fc.Verdict, { verdict: result.verdict } ),
						! ( result.isAsIs && media.state === 'reviewed' ) && el( fc.Approve, { key: result.token || 'as-is', media, result, isBusy,
							mustWatch: __( 'I have watched the whole covered clip.', 'facecloak' ), onApprove: approve } ) ) ) ) );
	};
} )( window.wp, window.facecloakReview );
