/** Entry of the window: styles, the session with the engine, the application. */
import './without-eval.ts';
import { mount } from 'svelte';
import App from './app.svelte';
import { session } from './session.svelte.ts';
import './theme.css';

session.connect();
mount(App, { target: document.getElementById('app')! });
