// Runs inside a sandbox built ahead, before anybody's code or data is there: warms node up, says
// so, waits for its one job, becomes it. Never used twice. See sandbox_prepare().
'use strict';
{
	const fs = require('fs'), path = require('path'), vm = require('vm'), Module = require('module');
	const evalGlobals = ['module', 'exports', 'require', '__filename', '__dirname'];
	const given = Object.getOwnPropertyDescriptors(globalThis);
	let tells = true;

	const takeJob = (job) => {
		const strings = job.split('\0').slice(0, -1), end = 2 + Number(strings[1]);
		for (const name of Object.keys(process.env))
			delete process.env[name];
		for (const entry of strings.slice(end)) {
			const at = entry.indexOf('=');
			process.env[entry.slice(0, at)] = entry.slice(at + 1);
		}
		process.chdir(strings[0]);
		return strings.slice(2, end);
	};

	// node -e gives scripts the modules of node as globals; node FILE does not.
	const hideEvalGlobals = () => {
		for (const name of [...evalGlobals, ...Module.builtinModules])
			if (given[name]?.configurable && !['console', 'process'].includes(name))
				delete globalThis[name];
		const { webcrypto } = require_('crypto');
		const own = Object.getOwnPropertyDescriptor({ get crypto() { return webcrypto; } }, 'crypto');
		Object.defineProperty(globalThis, 'crypto', own);
	};
	const require_ = require;

	const runCode = (code) => {
		const module = new Module('[eval]');
		module.filename = path.join(process.cwd(), '[eval]');
		module.paths = Module._nodeModulePaths(process.cwd());
		module._compile('Object.assign(globalThis, { module, exports, require, __dirname, ' +
			"__filename: '[eval]' })", '[eval]-wrapper');
		// As node: there crypto is the module, not the global, in code that names it.
		if (/\bcrypto\b/.test(code) && globalThis.crypto)
			code = `(crypto=>{{${code}}})(require('node:crypto'))`;
		return vm.runInThisContext(code, { filename: '[eval]', displayErrors: true,
			importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER });
	};

	// node FILE ARG... or node -e CODE ARG...: what runs it, and process as node sets it.
	const load = (argv) => {
		process.execArgv.length = 0;
		if (argv[1] === '-e') {
			process.argv.splice(1, Infinity, ...argv.slice(argv[3] === '--' ? 4 : 3));
			process.execArgv.push('-e', argv[2]);
			process._eval = argv[2];
			return [runCode, argv[2]];
		}
		delete process._eval;
		process.argv.splice(1, Infinity, path.resolve(argv[1] ?? ''), ...argv.slice(2));
		return [Module.runMain, process.argv[1]];
	};

	const readJob = (fd) => {
		const parts = [], part = Buffer.allocUnsafe(65536);
		for (let size; (size = fs.readSync(fd, part)) > 0;)
			parts.push(Buffer.from(part.subarray(0, size)));
		fs.closeSync(fd);
		return Buffer.concat(parts).toString();
	};

	// Whole path of a write but the bytes. Gives what ends it.
	const holdBack = (stream) => {
		let proto = stream._handle;
		while (proto && !Object.hasOwn(proto, 'writeUtf8String'))
			proto = Object.getPrototypeOf(proto);
		if (!proto) {
			stream.write = () => true;
			return () => delete stream.write;
		}
		const { writeUtf8String } = proto;
		proto.writeUtf8String = function (request) {
			return Reflect.apply(writeUtf8String, this, [request, '']);
		};
		return () => { proto.writeUtf8String = writeUtf8String; };
	};

	// Through the very functions a job takes; what it leaves in caches is taken out again.
	const warmUp = async () => {
		const file = '/tmp/cupel-warm.js', { emitWarning } = process;
		const source = '{ class A extends Map { f(...a) { return a.map((x) => `${x}`); } }\n' +
			"try { JSON.parse('{'); } catch (error) { String(error.stack); }\n" +
			"JSON.stringify([...new A().f(1, 'b')].sort());\n" +
			"console.log('%s %d', 'a', 1, { b: [2] }, new Error('c')); }";
		for (const stream of [process.stderr, process.stdout, process.stdout])
			stream.write('');
		const silent = holdBack(process.stdout);
		process.emitWarning = () => { }; // of import() in the code of -e, once per process
		fs.writeFileSync(file, source);
		for (const args of [['-e', 'import("fs")'], ['-e', source], ['-e', source], [file], [file]]) {
			const [run, what] = load(takeJob(`/\0${args.length + 1}\0node\0` +
				`${args.join('\0')}\0PATH=/bin\0`));
			await run(what);
			await new Promise(setImmediate); // through the event loop as well
			delete Module._cache[file];
			readJob(fs.openSync(file));
		}
		fs.unlinkSync(file);
		for (const key of Object.keys(Module._pathCache))
			if (key.includes(file))
				delete Module._pathCache[key];
		silent();
		process.emitWarning = emitWarning;
		delete process.mainModule;
		tells = false;
		process.emit('beforeExit', 0);
		process.emit('exit', 0);
		tells = true;
	};

	// Before anything is torn down: the code, when nothing can change it any more. That is where
	// process.exit() ends, and where the event loop has when nobody listens to that. What a listener
	// of 'exit' leaves (microtasks, rejections) runs after it, and an uncaught exception is printed
	// later still: there the death of the process tells the code. A program may replace any of these.
	const { emit, listenerCount, reallyExit } = process, { writeSync, fstatSync } = fs;
	const { apply } = Reflect, { dev, ino } = fstatSync(65);
	const job = process, number = Number, note = Buffer.alloc(1);
	const tell = (code) => {
		if (!tells)
			return;
		try {
			const now = fstatSync(65); // a program may have closed it, and have that number
			note[0] = number(code ?? 0) & 0xff;
			if (now.dev === dev && now.ino === ino)
				writeSync(65, note);
		} catch { }
	};
	const emitAndTell = function (name, ...rest) {
		const isLast = name === 'exit' && this === job && job._exiting &&
			job.emit === emitAndTell && job.reallyExit === exitAndTell &&
			apply(listenerCount, job, [name]) === 0;
		const result = apply(emit, this, [name, ...rest]);
		if (name === 'uncaughtExceptionMonitor')
			tells = false;
		if (isLast)
			tell(job.exitCode);
		return result;
	};
	const exitAndTell = process.reallyExit = (code) => {
		tell(code);
		return apply(reallyExit, job, [code]);
	};
	Object.defineProperty(process, 'emit',
		{ value: emitAndTell, configurable: true, writable: true, enumerable: false });

	warmUp().then(() => {
		fs.writeSync(65, 'R');
		const argv = takeJob(readJob(64));
		const [, first = '-', code, next = ''] = argv, isCode = first === '-e';
		const odd = !isCode ? first : code === undefined ? first : next === '--' ? '' : next;
		if (odd.startsWith('-')) {
			process.stderr.write(`${argv[0]}: expected FILE or -e CODE, got ${odd}\n`);
			process.exit(9);
		}
		const [run, what] = load(argv);
		if (!isCode)
			hideEvalGlobals();
		setImmediate(run, what); // not below the frames of this
	});
}
