//! A stop in order: what is in flight is answered, what is idle does not hold it up.

use std::time::{Duration, Instant};

use tidelog_proto::v1::append_stream_response::Result as Answer;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::rig::{Site, append, because, channel, ok, soon, vector};

/// Connections that do not end by themselves are left after five seconds; nothing here may need that.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_everything_that_is_in_flight() {
    let site = Site::sqlite().await;
    let mut follower = site.follow(None).await;
    follower.replay().await;
    let mut waiting = site.api();
    let waiting = tokio::spawn(async move {
        let token = Some(vector("us#1:1"));
        let request = v1::AwaitRequest {
            token,
            ..v1::AwaitRequest::default()
        };
        soon(waiting.r#await(request)).await.unwrap_err()
    });
    // One after the other on each connection, until told that it stops; broken connections would say nothing.
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let mut api = site.api();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    match soon(api.append(append("T"))).await {
                        Ok(answer) => taken.push(answer.into_inner().last_sequence),
                        Err(status) => return (taken, status),
                    }
                }
            })
        })
        .collect();
    let (pipe, requests) = mpsc::channel(64);
    let mut answers = ok(site.api().append_stream(ReceiverStream::new(requests))).await;
    let feeding = tokio::spawn(async move {
        let mut sent = 0_usize;
        while pipe.send(append("T")).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let streamed = tokio::spawn(async move {
        let (mut taken, mut refused) = (Vec::new(), 0_usize);
        let status = loop {
            match soon(answers.message()).await {
                Ok(answer) => match answer.expect("an end with a word").result.unwrap() {
                    Answer::Ok(answer) => taken.push(answer.last_sequence),
                    Answer::Error(status) => {
                        let error = ApiError::from_rpc_status(&status).unwrap();
                        assert_eq!(error.reason, ErrorReason::ShuttingDown, "{error}");
                        refused += 1;
                    }
                },
                Err(status) => break status,
            }
        };
        because(ErrorReason::ShuttingDown, &status);
        (taken, refused)
    });
    soon(async { while follower.events().await.last() < Some(&200) {} }).await;

    let begun = Instant::now();
    let Site {
        running,
        config,
        dir,
    } = site;
    running.shut_down().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    because(ErrorReason::ShuttingDown, &follower.end().await);
    because(ErrorReason::ShuttingDown, &waiting.await.unwrap());
    let mut taken = Vec::new();
    for writer in writers {
        let (sequences, status) = writer.await.unwrap();
        // Told by the log, or turned away at a door that was closed by then; what is stored below tells that none was cut off.
        match ApiError::from_status(&status) {
            Some(error) => assert_eq!(error.reason, ErrorReason::ShuttingDown, "{error}"),
            None => {
                let text = format!("{status:?}");
                let turned_away = ["ConnectionRefused", "GoAway(b\"\", NO_ERROR, Remote)"];
                assert!(turned_away.iter().any(|t| text.contains(t)), "{text}");
            }
        }
        taken.extend(sequences);
    }
    let (sequences, refused) = soon(streamed).await.unwrap();
    let sent = soon(feeding).await.unwrap();
    assert!(sequences.len() + refused <= sent);
    taken.extend(sequences);
    taken.sort_unstable();

    let site = Site {
        running: tidelog_server::RunningLocation::start(config.clone())
            .await
            .unwrap(),
        config,
        dir,
    };
    site.running.wait_until_ready(AT_ONCE).await.unwrap();
    assert_eq!(site.sequences().await, taken, "taken is what is there");
}

#[tokio::test]
async fn streams_that_nobody_uses_do_not_hold_up_a_stop() {
    let site = Site::memory().await;
    let (pipe, requests) = mpsc::channel(1);
    let mut appending = ok(site.api().append_stream(ReceiverStream::new(requests))).await;
    pipe.send(append("T")).await.unwrap();
    soon(appending.message()).await.unwrap().unwrap();
    let health = site.running.addresses().health.to_string();
    let request = HealthCheckRequest {
        service: "ready".to_owned(),
    };
    let mut watching = ok(HealthClient::new(channel(&health)).watch(request)).await;
    soon(watching.message()).await.unwrap().unwrap();
    let begun = Instant::now();
    site.running.shut_down().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    because(
        ErrorReason::ShuttingDown,
        &soon(appending.message()).await.unwrap_err(),
    );
    drop((pipe, watching));
}

/// RFC 9113, 6.8: whoever has a connection is told that it ends and may take the next one elsewhere, also when it does nothing at the time.
#[tokio::test]
async fn a_connection_on_which_nothing_happens_is_told_that_it_ends() {
    const GOAWAY: u8 = 7;
    const PING: u8 = 6;
    const SETTINGS: u8 = 4;
    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 0][..], payload].concat()
    }
    let site = Site::memory().await;
    let mut connection = TcpStream::connect(site.running.addresses().api)
        .await
        .unwrap();
    let hello = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(SETTINGS, 0, &[]),
    ]
    .concat();
    connection.write_all(&hello).await.unwrap();
    let told = tokio::spawn(async move {
        let mut codes = Vec::new();
        let mut head = [0; 9];
        while connection.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
            connection.read_exact(&mut payload).await.unwrap();
            match head[3] {
                GOAWAY => codes.push(payload[4..8].to_vec()),
                PING if head[4] == 0 => {
                    connection
                        .write_all(&frame(PING, 1, &payload))
                        .await
                        .unwrap();
                }
                _ => {}
            }
        }
        codes
    });
    let begun = Instant::now();
    site.running.shut_down().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let codes = soon(told).await.unwrap();
    let no_error = [0; 4];
    assert!(
        !codes.is_empty() && codes.iter().all(|code| *code == no_error),
        "{codes:?}"
    );
}

/// Whoever asks under the name of the holder takes the lease over at once: no two lives may share one, not even on one host under one number.
#[tokio::test]
async fn each_life_of_a_location_asks_for_the_lease_under_a_name_of_its_own() {
    async fn owner(site: &Site) -> String {
        let mut admin = site.admin();
        let status = ok(admin.get_status(v1::GetStatusRequest::default())).await;
        status.status.unwrap().writer.unwrap().owner
    }
    let site = Site::sqlite().await;
    let first = owner(&site).await;
    let number = format!("(process {}, run ", std::process::id());
    assert!(
        first.starts_with("eu on ") && first.contains(&number),
        "{first}"
    );
    let site = site.restart().await;
    assert_ne!(owner(&site).await, first);
}
