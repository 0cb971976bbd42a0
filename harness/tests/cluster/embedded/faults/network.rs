//! A way to the cluster that can be stopped: what is sent meanwhile comes later, as TCP has it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::embedded::rights::Held;

/// The way, until it is dropped and whoever uses it has ended.
pub(super) struct Network {
    /// Where it begins.
    pub(super) server: String,
    flows: Arc<(Mutex<bool>, Condvar)>,
}

impl Network {
    /// Lays it before the cluster, as the context `network`.
    pub(super) fn before(held: &Held) -> Network {
        let there = held.server();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = format!("https://{}", listener.local_addr().expect("an address"));
        held.context("network", Some(server.clone()), None);
        let flows = Arc::new((Mutex::new(true), Condvar::new()));
        let network = Network { server, flows: Arc::clone(&flows) };
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(&there) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let flows = Arc::clone(&flows);
                    std::thread::spawn(move || pass(from?, to?, &flows));
                }
            }
        });
        network
    }

    /// Lets nothing through.
    pub(super) fn stop(&self) {
        *self.flows.0.lock().expect("no panic") = false;
    }

    /// Lets everything through.
    pub(super) fn go_on(&self) {
        *self.flows.0.lock().expect("no panic") = true;
        self.flows.1.notify_all();
    }
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    flows: &(Mutex<bool>, Condvar),
) -> std::io::Result<()> {
    let mut piece = [0; 16 * 1024];
    loop {
        let read = from.read(&mut piece)?;
        let flowing = flows.1.wait_while(flows.0.lock().expect("no panic"), |flows| !*flows);
        drop(flowing.expect("no panic"));
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&piece[..read])?;
    }
}
