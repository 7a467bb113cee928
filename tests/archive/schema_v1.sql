PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE blob (
	digest VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	data BLOB, 
	PRIMARY KEY (digest)
);
INSERT INTO "blob" VALUES('a71a90222450a6b1824f22f184aefe7c5b2592d50b5c5157146b9198a0a48472',16,X'789C4BCE482C51C84F53C8C9CF4B57484CCF070030CB05BD');
INSERT INTO "blob" VALUES('1f58b9145b24d108d7ac38887338b3ea3229833b9c1e418250343f907bfd1047',7,X'789C2B4A2D2C4D2D2E01000C15030A');
INSERT INTO "blob" VALUES('5782b18687e6cf8a482fc32d2db5b196d8821c458a0c069c6acf3953446e7bb5',5,X'789C2B4A2DC8A904000674022D');
CREATE TABLE campaign (
	id VARCHAR(12) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	random_seed BIGINT NOT NULL, 
	config TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	reason TEXT NOT NULL, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "campaign" VALUES('cba7d4d905f1','old','finished',7,'{"seed":7}',1.79527495178992557529e+09,'done','b7528065d0fd31a423c1b2c617b509b5c4c2c2c43801f38001663dd9c024f8aa');
CREATE TABLE evaluation (
	id INTEGER NOT NULL, 
	variant VARCHAR NOT NULL, 
	benchmark VARCHAR(128) NOT NULL, 
	split VARCHAR(20) NOT NULL, 
	tasks TEXT NOT NULL, 
	screen INTEGER NOT NULL, 
	context VARCHAR(128) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	sandbox TEXT NOT NULL, 
	score FLOAT, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(variant) REFERENCES variant (id)
);
INSERT INTO "evaluation" VALUES(1,'c5c4752d54b3','math','validation','["t1"]',1,'ctx','finished','{"backend":"docker","image":"image","isolation":"container","warnings":["w"]}',1.0,'c2a6402a8c4c6bcee6ba959a1e65718c8275de33ec077b094d50bbc529e58a5f');
CREATE TABLE event (
	sequence INTEGER NOT NULL, 
	campaign VARCHAR NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	payload TEXT NOT NULL, 
	subject VARCHAR(64) NOT NULL, 
	sealed VARCHAR(64) NOT NULL, 
	created FLOAT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sequence), 
	FOREIGN KEY(campaign) REFERENCES campaign (id)
);
INSERT INTO "event" VALUES(1,'cba7d4d905f1','campaign_created','{"config":{"seed":7},"name":"old","random_seed":7}','campaign:cba7d4d905f1','102425f18be17b8f644ad6fd54f70054b4b6fa92214b69b30904fce08d1e2c40',1.7952749517951052189e+09,'45c28fcd64180f2782323940996ac658a65f7446910117fea6374cfd289e48e2');
INSERT INTO "event" VALUES(2,'cba7d4d905f1','step_started','{"parent":null,"step":0,"variant":"c5c4752d54b3","why":"seed"}','variant:c5c4752d54b3','fb8b77613ee007983d07a0af0d66fee676b5af8924b4bc696e5ebb8bb7daea17',1.79527495181947946553e+09,'0f5fa90425b9576c4be9776d54e82370bc03c9f55e61f4b72e7a6c615f3660ea');
INSERT INTO "event" VALUES(3,'cba7d4d905f1','mutation_described','{"seconds":2.5,"transcript_blob":"a71a90222450a6b1824f22f184aefe7c5b2592d50b5c5157146b9198a0a48472","variant":"c5c4752d54b3"}','variant:c5c4752d54b3','44408a1c6e8d48c79df2454e6f4ce55df4d9b335a1b61dd2bf3809256131164b',1.79527495183924508097e+09,'954b4568d43fe3fbb99f6bd1c73ce0325f8c25322831e20c6603cd7c51b58cd1');
INSERT INTO "event" VALUES(4,'cba7d4d905f1','evaluation_started','{"benchmark":"math","evaluation":1,"score":null,"split":"validation","state":"running","variant":"c5c4752d54b3"}','evaluation:1','cbdfda2f5f59cbc32fe330c0c93f9f99cdaf0231d46c33446a11ea59a335ac3e',1.79527495185126829144e+09,'7d01fc1204af593a7b74ecef613edc3ed1b34992410ea1c9527b72dc389b28ad');
INSERT INTO "event" VALUES(5,'cba7d4d905f1','outcome_added','{"evaluation":1,"score":1.0,"status":"scored","task":"t1"}','outcome:1','8600bb0939b94b41fa51b559794c8e1da61f4a8aad65ab389f351ca07b2e5568',1.79527495188499641417e+09,'04f5c1d5e1f74d98166f6ea9c28c82c0589b65f54310ac8b67c79c22f6c249d6');
INSERT INTO "event" VALUES(6,'cba7d4d905f1','evaluation_finished','{"benchmark":"math","evaluation":1,"score":1.0,"split":"validation","state":"finished","variant":"c5c4752d54b3"}','evaluation:1','c2a6402a8c4c6bcee6ba959a1e65718c8275de33ec077b094d50bbc529e58a5f',1.79527495190338492398e+09,'d6ad39c78f5c316b2fe2b40a9283b0f49a8cda3866d0bc7e470b6faaec9d5a3d');
INSERT INTO "event" VALUES(7,'cba7d4d905f1','variant_finished','{"reason":"no program","score":null,"status":"invalid","variant":"c5c4752d54b3"}','variant:c5c4752d54b3','e550a075b4f36939c98a3b7c64740cee748beac7116c0ed6da00a468fd584393',1.79527495203953337673e+09,'fda9e7c1f95496b5a61755f022c074421afaba05a3498499d3ed3c344f6eb916');
INSERT INTO "event" VALUES(8,'cba7d4d905f1','campaign_state','{"reason":"done","state":"finished"}','campaign:cba7d4d905f1','b7528065d0fd31a423c1b2c617b509b5c4c2c2c43801f38001663dd9c024f8aa',1.79527495205096268657e+09,'a94d84f754b3af86b5a535d3c40fc2ebb239066ea17dfc52617ee2adb0681ea1');
CREATE TABLE model_call (
	id INTEGER NOT NULL, 
	job VARCHAR(256) NOT NULL, 
	task VARCHAR(256) NOT NULL, 
	sequence INTEGER NOT NULL, 
	campaign VARCHAR(128) NOT NULL, 
	variant VARCHAR(128) NOT NULL, 
	purpose VARCHAR(20) NOT NULL, 
	model VARCHAR(256) NOT NULL, 
	request_hash VARCHAR(128) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	prompt_tokens BIGINT NOT NULL, 
	completion_tokens BIGINT NOT NULL, 
	cost FLOAT NOT NULL, 
	seconds FLOAT NOT NULL, 
	cached BOOLEAN NOT NULL, 
	request_blob VARCHAR(64) NOT NULL, 
	reply_blob VARCHAR(64) NOT NULL, 
	error BLOB NOT NULL, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "model_call" VALUES(1,'j','t1',0,'cba7d4d905f1','c5c4752d54b3','evaluate','m','h','settled',10,5,0.25,0.0,0,'1f58b9145b24d108d7ac38887338b3ea3229833b9c1e418250343f907bfd1047','5782b18687e6cf8a482fc32d2db5b196d8821c458a0c069c6acf3953446e7bb5',X'','4d661a0b455b9bc69a43f1c3bf0ef18ce027ff63d514bfb635071f4af29fee21');
CREATE TABLE outcome (
	id INTEGER NOT NULL, 
	evaluation INTEGER NOT NULL, 
	task VARCHAR(256) NOT NULL, 
	status VARCHAR(20) NOT NULL, 
	score FLOAT NOT NULL, 
	prediction BLOB NOT NULL, 
	error BLOB NOT NULL, 
	seconds FLOAT NOT NULL, 
	peak_mb FLOAT NOT NULL, 
	calls INTEGER NOT NULL, 
	cached_calls INTEGER NOT NULL, 
	prompt_tokens BIGINT NOT NULL, 
	completion_tokens BIGINT NOT NULL, 
	cost FLOAT NOT NULL, 
	transcript_blob VARCHAR(64) NOT NULL, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (evaluation, task), 
	FOREIGN KEY(evaluation) REFERENCES evaluation (id)
);
INSERT INTO "outcome" VALUES(1,1,'t1','scored',1.0,X'2279657322',X'',0.0,0.0,1,0,10,5,0.25,'a71a90222450a6b1824f22f184aefe7c5b2592d50b5c5157146b9198a0a48472','8600bb0939b94b41fa51b559794c8e1da61f4a8aad65ab389f351ca07b2e5568');
CREATE TABLE promotion (
	id INTEGER NOT NULL, 
	variant VARCHAR NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	detail TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(variant) REFERENCES variant (id)
);
CREATE TABLE variant (
	id VARCHAR(12) NOT NULL, 
	campaign VARCHAR NOT NULL, 
	step INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	parent VARCHAR, 
	status VARCHAR(20) NOT NULL, 
	"commit" VARCHAR(64) NOT NULL, 
	tree VARCHAR(64) NOT NULL, 
	score FLOAT, 
	reason BLOB NOT NULL, 
	summary BLOB NOT NULL, 
	seconds FLOAT NOT NULL, 
	created FLOAT NOT NULL, 
	seal VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (campaign, step), 
	FOREIGN KEY(campaign) REFERENCES campaign (id), 
	FOREIGN KEY(parent) REFERENCES variant (id)
);
INSERT INTO "variant" VALUES('c5c4752d54b3','cba7d4d905f1',0,0,NULL,'invalid','','',NULL,X'6E6F2070726F6772616D',X'666972737420776F726473',2.5,1.79527495180943083758e+09,'e550a075b4f36939c98a3b7c64740cee748beac7116c0ed6da00a468fd584393');
CREATE INDEX model_call_by_variant ON model_call (variant);
CREATE INDEX model_call_by_request ON model_call (request_hash);
CREATE INDEX model_call_by_campaign ON model_call (campaign);
CREATE INDEX model_call_by_key ON model_call (job, task, sequence);
CREATE INDEX variant_by_tree ON variant (tree);
CREATE INDEX event_by_campaign ON event (campaign, sequence);
CREATE INDEX evaluation_by_variant ON evaluation (variant, benchmark, split, context);
COMMIT;
